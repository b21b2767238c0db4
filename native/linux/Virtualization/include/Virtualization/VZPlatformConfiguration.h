// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// What identifies the machine to its guest. Abstract: make a VZGenericPlatformConfiguration.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZPlatformConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
