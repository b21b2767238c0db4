// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZSerialPortAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/// Answers the SPICE agent of a guest (spice-vdagent), by which a guest shares its clipboard with the displays that
/// show it. For a VZVirtioConsolePortConfiguration with the name spiceAgentPortName. A machine that has one cannot be
/// saved.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZSpiceAgentPortAttachment : VZSerialPortAttachment

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/// Whether the guest is offered to share its clipboard. YES by default. QEMU shares it with its own displays, of which
/// no machine has one here: the guest's agent is answered, and nothing comes of it.
@property BOOL sharesClipboard;

/// The name by which the guest's agent finds its port.
@property (class, readonly) NSString *spiceAgentPortName;

@end

NS_ASSUME_NONNULL_END
