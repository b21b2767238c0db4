// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A device with ports for streams of bytes. Abstract: make a VZVirtioConsoleDeviceConfiguration.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZConsoleDeviceConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
