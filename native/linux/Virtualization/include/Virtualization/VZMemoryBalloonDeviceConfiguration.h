// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A device through which the host asks the guest for memory. Abstract: make a subclass.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZMemoryBalloonDeviceConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
