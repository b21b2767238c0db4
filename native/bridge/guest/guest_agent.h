// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// The host's end of the port of a guest's agent. The agent is QEMU's; its protocol is JSON on a stream
/// (https://www.qemu.org/docs/master/interop/qemu-ga-ref.html). It sets the guest's clock after the machine was
/// restored. It is made on any thread, and used on its machine's queue.
@interface AppleVZGuestAgent : NSObject

/// nil, with an error of NSPOSIXErrorDomain, if there are no descriptors for it.
- (nullable instancetype)initWithError:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// The guest's end.
@property (readonly) VZSerialPortAttachment *attachment;

/// From here on it belongs to a machine. `clockHandler` is called on the queue when the guest's clock was set, or with
/// the error with which the agent refused, or if it said too much; not at all if no agent answers.
- (void)attachToQueue:(dispatch_queue_t)queue clockHandler:(void (^)(NSError *_Nullable error))clockHandler;

/// A duplicate of the host's end, the caller's; -1 with errno.
- (int)duplicateOfHostsEnd;

/// Sends or receives without waiting, for somebody else who speaks to the agent. 0 if nothing goes, and while it speaks
/// itself.
- (size_t)send:(const char *)bytes length:(size_t)length;
- (size_t)receiveInto:(char *)bytes length:(size_t)length;

/// To be told of each change. A machine that runs for the first time since it was restored has a clock that is behind.
- (void)stateChangedFrom:(enum applevz_machine_state)before to:(enum applevz_machine_state)state;

@end

NS_ASSUME_NONNULL_END
