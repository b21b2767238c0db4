// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A display of a graphics card. Abstract: make a VZVirtioGraphicsScanoutConfiguration.
VZ_EXPORT API_AVAILABLE(macos(14.0)) @interface VZGraphicsDisplayConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
