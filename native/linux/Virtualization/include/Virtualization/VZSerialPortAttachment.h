// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// The host's end of a serial port. Abstract: make one of its subclasses.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZSerialPortAttachment : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
