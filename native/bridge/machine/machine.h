// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "waiting/events.h"
#import "guest/guest_agent.h"
#import "input_turns.h"
#import "waiting/notices.h"
#import "waiting/operation.h"
#import "socket_listeners.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// A verb of VZVirtualMachine, called on the machine's queue.
typedef void (^AppleVZVerb)(VZVirtualMachine *machine, void (^completion)(NSError *_Nullable error));

/// A VZVirtualMachine, its queue, and what its owner may know without being on that queue. Any thread may use it.
@interface AppleVZMachine : NSObject

/// The configuration must be valid.
- (instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// What the queue announced last.
@property (readonly) enum applevz_machine_state state;

/// The error that the guest stopped with since the last start.
@property (nullable, readonly) NSError *stopError;

/// In bytes.
@property (readonly) uint64_t memorySize;

/// What the network card with that index has as its attachment by its configuration.
- (nullable VZNetworkDeviceAttachment *)configuredAttachmentOfNetworkDevice:(NSUInteger)index;

/// As "52:54:00:12:34:56".
- (NSString *)macAddressOfNetworkDevice:(NSUInteger)index;

/// Why a network card lost its attachment last. On the queue only; whoever wants to know sets it to nil before.
@property (nullable) NSError *disconnection;

/// Who listens to what the guest connects to. On the queue only.
@property (readonly) AppleVZSocketListeners *socketListeners;

/// What happened to it, told before the verb completes that did it.
@property (readonly) AppleVZEvents *events;

/// Used on the queue only.
@property (readonly) AppleVZInputTurns *inputTurns;

/// A bit of applevz_machine_verb for each verb that would be accepted now.
@property (readonly) uint32_t acceptedVerbs;
/// How often the guest closed a port of the last of its console devices.
@property (readonly) uint64_t lastDeviceClosings;
/// As applevz_machine_panics.
@property (readonly) uint64_t panics;

/// As applevz_machine_tell_panic.
- (void)tellPanicForGood:(BOOL)forGood anew:(BOOL)anew;

/// Takes the agent of its guest, before anything else is done with the machine.
- (void)takeGuestAgent:(AppleVZGuestAgent *)agent;

/// What the block gives of the agent, which nobody else uses meanwhile; nil, with which it is called, without one.
- (ssize_t)useGuestAgent:(ssize_t (^)(AppleVZGuestAgent *_Nullable agent))block;

/// What the framework told, from keepNotices on, which comes before anything else is done with the machine; nil without
/// it.
@property (nullable, readonly) AppleVZNotices *notices;
- (void)keepNotices;

/// Looks at the VZVirtualMachine, or changes one of its devices, on its queue; gives what the block gives. Waits for
/// the queue, which nothing keeps for long.
- (nullable NSError *)access:(NSError *_Nullable (^)(VZVirtualMachine *machine))block;

/// Calls the verb, which leads through that state, one that does not last; the operation completes when the state is
/// there to which it led. STOPPED for a verb that changes no state.
- (AppleVZOperation *)perform:(AppleVZVerb)verb through:(enum applevz_machine_state)passing;

/// Whether that is what it runs on, and has not been discarded. On the queue only.
- (BOOL)runsOn:(nullable VZVirtualMachine *)virtualMachine;

/// Runs the block on the queue so many milliseconds later, unless the machine is gone by then. An exception ends it,
/// and `failed` is given its error.
- (void)after:(unsigned)milliseconds perform:(void (^)(void))block failed:(void (^)(NSError *error))failed;

/// As perform:, for what changes no state and completes with something: the block completes the operation itself, on
/// the queue, and then calls done, also on the queue. A machine that is let go meanwhile cancels the operation, and an
/// exception of the block's ends it with its error.
- (AppleVZOperation *)request:(void (^)(VZVirtualMachine *machine, AppleVZOperation *operation,
                                        void (^done)(void)))block;

/// As perform:through:, and forgets the stop error when the verb is called, which uses the files of the configuration.
- (AppleVZOperation *)performStart:(AppleVZVerb)verb;

/// The same for the verb that restores a machine.
- (AppleVZOperation *)performRestore:(AppleVZVerb)verb;

/// Completes when the state is one of those whose bit is set.
- (AppleVZOperation *)waitForStates:(uint32_t)states;

/// Leaves the VZVirtualMachine for a new one of the same configuration.
- (AppleVZOperation *)discard;

/// Lets go of the VZVirtualMachine, which ends it if it runs, on its queue. Nothing is accepted afterwards.
- (void)invalidate;

@end

@interface AppleVZMachine (LastingStates)

/// Runs the block when the machine is seen in a state that lasts: now, or once the framework shows what it has told. On
/// the queue only.
- (void)whenStateLasts:(void (^)(void))block;

@end

@interface AppleVZMachine (USBDisks)

/// Has the events of a USB disk told until it is forgotten, or the machine starts again, with the disks of its
/// configuration. NO if it has none. On the queue only.
- (BOOL)listenToUSBDisk:(NSUUID *)uuid attachment:(VZStorageDeviceAttachment *)attachment;
- (void)forgetUSBDisk:(NSUUID *)uuid;

@end

NS_ASSUME_NONNULL_END
