// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZConsoleDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtioConsolePortConfigurationArray;

/// A virtio device with any number of ports, each with a name, an attachment, or both.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZVirtioConsoleDeviceConfiguration : VZConsoleDeviceConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/// The device's ports, none at first.
@property (readonly) VZVirtioConsolePortConfigurationArray *ports;

@end

NS_ASSUME_NONNULL_END
