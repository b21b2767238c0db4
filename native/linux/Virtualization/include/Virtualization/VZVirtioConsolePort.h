// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZSerialPortAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/// A port of a machine's console device, from VZVirtioConsoleDevice.ports; never made by a program. Use it on its
/// machine's queue.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZVirtioConsolePort : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The configuration's; nil for none.
@property (readonly, nullable, copy) NSString *name;

/// What the port is connected to; nil discards what the guest writes. It can be set at any time: what the guest writes
/// from then on goes to the new one; while the machine is paused, from when it goes on. One that cannot be opened
/// leaves the port without an attachment.
@property (nullable, strong) VZSerialPortAttachment *attachment;

@end

NS_ASSUME_NONNULL_END
