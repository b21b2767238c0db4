// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZMemoryBalloonDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A virtio memory balloon. A machine has at most one.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioTraditionalMemoryBalloonDeviceConfiguration
    : VZMemoryBalloonDeviceConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
