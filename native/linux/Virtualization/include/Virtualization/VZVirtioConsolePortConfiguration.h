// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZConsolePortConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A stream in both directions between the guest and an attachment. In Linux /dev/vport<device>p<number>, or
/// hvc<number> where it is a console. Nothing is lost: a guest that writes more than the attachment takes waits, as
/// does one that reads. That does not hold for a console: a guest's kernel could not go on while it waited, so QEMU
/// drops what the attachment does not take.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZVirtioConsolePortConfiguration : VZConsolePortConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/// By which the guest finds the port (/dev/virtio-ports/<name>, by udev): 1 to 255 bytes of UTF-8 without control
/// characters, and no other port's of the machine. nil, the default, is no name.
@property (nullable, copy) NSString *name;

/// Whether the guest may use the port as a system console. NO by default.
@property BOOL isConsole;

@end

NS_ASSUME_NONNULL_END
