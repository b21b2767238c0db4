// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// The host's end of the port by which a guest's agent is spoken to: QEMU's, whose protocol is JSON on a stream
/// (https://www.qemu.org/docs/master/interop/qemu-ga-ref.html). It sets the guest's clock after the machine was restored.
/// Everything but making it happens on its machine's queue.
@interface AppleVZGuestAgent : NSObject

/// nil, with an error of NSPOSIXErrorDomain, where there are no descriptors for it.
- (nullable instancetype)initWithError:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// The guest's end.
@property (readonly) VZSerialPortAttachment *attachment;

/// From here on it belongs to a machine. `clockHandler` is called on the queue when the guest's clock was set, or with the
/// error with which the agent refused; not at all where no agent answers.
- (void)attachToQueue:(dispatch_queue_t)queue clockHandler:(void (^)(NSError *_Nullable error))clockHandler;

/// To be told of each change. A machine that runs for the first time since it was restored has a clock that is behind.
- (void)stateChangedFrom:(enum applevz_machine_state)before to:(enum applevz_machine_state)state;

@end

NS_ASSUME_NONNULL_END
