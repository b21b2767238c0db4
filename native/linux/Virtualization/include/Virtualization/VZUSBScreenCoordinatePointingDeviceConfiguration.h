// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZPointingDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A pointing device on the USB that tells the guest where on the screen it points. The machine has a controller for
/// it.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZUSBScreenCoordinatePointingDeviceConfiguration
    : VZPointingDeviceConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
