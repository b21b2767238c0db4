// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZNetworkDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A virtio network card.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioNetworkDeviceConfiguration : VZNetworkDeviceConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
