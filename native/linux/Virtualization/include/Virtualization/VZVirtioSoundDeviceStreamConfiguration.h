// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// One stream of a sound card. Abstract: make one for input or for output.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZVirtioSoundDeviceStreamConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
