// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZEntropyDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A virtio entropy device, fed by the host's random numbers.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioEntropyDeviceConfiguration : VZEntropyDeviceConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
