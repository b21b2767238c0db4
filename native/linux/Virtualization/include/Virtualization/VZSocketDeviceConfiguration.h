// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// What gives a guest sockets to its host. Abstract: make a VZVirtioSocketDeviceConfiguration.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZSocketDeviceConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
