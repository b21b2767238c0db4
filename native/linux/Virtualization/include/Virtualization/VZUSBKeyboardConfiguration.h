// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZKeyboardConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A keyboard on the USB. The machine has a controller for it.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZUSBKeyboardConfiguration : VZKeyboardConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
