// SPDX-License-Identifier: Apache-2.0
// The part of AppleVZMachine that its files share. machine.m has its life, machine_states.m the framework's reports of
// its state, machine_devices.m those of its devices.
#import "machine.h"
#import "panics.h"
#import "run_ends.h"
#import "waiting/state_waiters.h"

NS_ASSUME_NONNULL_BEGIN

@class AppleVZCall;
@class AppleVZLook;

@interface AppleVZMachine () {
    dispatch_queue_t _queue;
    VZVirtualMachineConfiguration *_configuration; // a copy: what a discarded machine is replaced from
    AppleVZStateWaiters *_waiters;

    // Used on the queue only.
    VZVirtualMachine *_virtualMachine;            // nil between a discard and the next verb, and once invalidated
    NSMutableDictionary<NSUUID *, id> *_usbDisks; // the delegates of those that servers give out
    AppleVZGuestAgent *_guestAgent;
    AppleVZEvent *_unexplained;            // a change of state whose reason the framework has still to tell
    NSMutableArray<AppleVZCall *> *_calls; // of verbs that have not completed yet
    NSMutableArray<AppleVZLook *>
        *_looks;       // what waits for a state that the framework has told of, and does not show yet
    uint64_t _changes; // of the state, as far as they were seen
    AppleVZRunEnds *_untoldEnds;
    AppleVZPanics *_panics; // any thread may read the count
    double _runBegan;       // the monotonic clock's seconds when the present run was begun, or the last one
    NSDictionary<NSString *, id> *_statistics; // those that were taken last
}

@property enum applevz_machine_state state;

- (void)countLastDeviceClosing;

/// The error that the guest stopped with since the last start, as far as the framework has told: that of the present
/// run, or of the last one.
@property (nullable) NSError *rememberedStopError;

/// Adds a notice of what the framework tells now, if notices are kept; before anything is made of it.
- (void)noteKind:(enum applevz_notice_kind)kind call:(uint64_t)call error:(nullable NSError *)error;

@end

/// A verb's call of the framework.
@interface AppleVZCall : NSObject

/// The state that it leads through, which is one that does not last; STOPPED for a call that changes no state.
- (instancetype)initThrough:(enum applevz_machine_state)passing changes:(uint64_t)changes;

@property (readonly) enum applevz_machine_state passing;
/// How many changes of state had been seen before it.
@property (readonly) uint64_t changes;
/// Its completion handler was called.
@property BOOL isOver;

@end

// The framework tells of one thing in up to three ways: by key-value observation of the state, to the delegate, and to
// the completion handler of the verb. Nothing says in which order, nor that the state itself has changed when the first
// of them comes. So each of them looks at the state, and what is not to be told before the state waits for it, for a
// while.
@interface AppleVZMachine (States) <VZVirtualMachineDelegate>

- (void)beginObserving;
- (void)endObserving;

/// Takes notice of the state that the framework's machine has now. On the queue only, like all that follows.
- (void)lookAtState;

/// To be called once the verb has been; its completion handler may have been called by then.
- (void)began:(AppleVZCall *)call;
/// Runs the block when the state is there that the verb led to.
- (void)ended:(AppleVZCall *)call withError:(nullable NSError *)error then:(void (^)(void))block;

/// The state itself changes at once. Its event, and those who wait for the state and may ask for its event next, wait
/// for explainWithError:.
- (void)changeState:(enum applevz_machine_state)state cause:(enum applevz_event_cause)cause;
- (void)explainWithError:(nullable NSError *)error;

/// Forgets what was begun and what waits, of a machine that is left.
- (void)forgetCalls;

@end

@interface AppleVZMachine (Statistics)

/// Completes when the figures were taken. From any thread.
- (AppleVZOperation *)takeStatistics;
/// Those that were taken last. On the queue only.
@property (readonly) NSDictionary<NSString *, id> *statistics;

@end

@interface AppleVZMachine (Devices) <VZVirtioConsoleDeviceDelegate>

/// Something that happens now and changes no state; to be added to the events.
- (AppleVZEvent *)eventOfKind:(enum applevz_event_kind)kind
                        cause:(enum applevz_event_cause)cause
                        error:(nullable NSError *)error;

/// An event of the machine's own, that the guest caused.
- (void)addEventOfGuest:(enum applevz_event_kind)kind;

/// NSNotFound for the device in an event of the machine's own.
- (void)addEventOfKind:(enum applevz_event_kind)kind
                 cause:(enum applevz_event_cause)cause
                device:(NSUInteger)device
                 error:(nullable NSError *)error;

/// The delegates of attachments are weak, as the machine's own.
- (void)setDelegateOfDevices:(nullable AppleVZMachine *)delegate;

@end

NS_ASSUME_NONNULL_END
