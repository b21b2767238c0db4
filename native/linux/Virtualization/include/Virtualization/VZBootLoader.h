// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// How a machine starts. Abstract: make a subclass, such as VZLinuxBootLoader or VZEFIBootLoader.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZBootLoader : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
