// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZSerialPortAttachment;

/// A port of a console device. Abstract: make a VZVirtioConsolePortConfiguration.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZConsolePortConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// Where the port's data comes from and goes to on the host. nil, the default, discards what the guest writes.
@property (nullable, strong) VZSerialPortAttachment *attachment;

@end

NS_ASSUME_NONNULL_END
