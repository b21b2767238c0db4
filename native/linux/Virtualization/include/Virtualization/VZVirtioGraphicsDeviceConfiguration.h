// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZGraphicsDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtioGraphicsScanoutConfiguration;

/// A virtio graphics card.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZVirtioGraphicsDeviceConfiguration : VZGraphicsDeviceConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/// The card's displays. A machine needs one, and can have no more; there is none by default.
@property (copy) NSArray<VZVirtioGraphicsScanoutConfiguration *> *scanouts;

@end

NS_ASSUME_NONNULL_END
