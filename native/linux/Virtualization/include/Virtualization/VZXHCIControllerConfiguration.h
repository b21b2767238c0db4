// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZUSBControllerConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A controller for USB 2 and USB 3 devices, which come and go while the machine runs.
VZ_EXPORT API_AVAILABLE(macos(15.0)) @interface VZXHCIControllerConfiguration : VZUSBControllerConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
