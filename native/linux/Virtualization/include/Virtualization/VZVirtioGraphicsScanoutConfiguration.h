// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZGraphicsDisplayConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A display of a virtio graphics card. Its size is what the guest is told that the display likes best.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZVirtioGraphicsScanoutConfiguration : VZGraphicsDisplayConfiguration

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

- (instancetype)initWithWidthInPixels:(NSInteger)widthInPixels
                       heightInPixels:(NSInteger)heightInPixels NS_DESIGNATED_INITIALIZER;

/// From 64, and from 200, to 8192.
@property NSInteger widthInPixels;
@property NSInteger heightInPixels;

@end

NS_ASSUME_NONNULL_END
