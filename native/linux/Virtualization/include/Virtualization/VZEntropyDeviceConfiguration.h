// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A source of random numbers for the guest. Abstract: make a VZVirtioEntropyDeviceConfiguration.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZEntropyDeviceConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
