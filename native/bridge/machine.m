// SPDX-License-Identifier: Apache-2.0
#import "machine_private.h"
#import "causes.h"
#import "dispatching.h"
#import "errors.h"
#import "state_waiters.h"
#import <pthread.h>
#import <stdatomic.h>

#define STATE_IS(ours, theirs) _Static_assert((int)APPLEVZ_MACHINE_STATE_##ours == (int)VZVirtualMachineState##theirs, "")
STATE_IS(STOPPED, Stopped);
STATE_IS(RUNNING, Running);
STATE_IS(PAUSED, Paused);
STATE_IS(ERROR, Error);
STATE_IS(STARTING, Starting);
STATE_IS(PAUSING, Pausing);
STATE_IS(RESUMING, Resuming);
STATE_IS(STOPPING, Stopping);

static NSString *const StateKey = @"state";
static char observation;

static NSError *cancelled(NSString *reason) {
    return applevz_error(VZErrorDomain, VZErrorOperationCancelled, @"The operation was cancelled.", reason, nil);
}

static bool is_refusal(NSError *_Nullable error) {
    return [error.domain isEqualToString:VZErrorDomain] && (error.code == VZErrorInvalidVirtualMachineState ||
                                                            error.code == VZErrorInvalidVirtualMachineStateTransition);
}

@implementation AppleVZMachine {
    dispatch_queue_t _queue;
    AppleVZStateWaiters *_waiters;
    _Atomic(int32_t) _state;

    // Used on the queue only.
    BOOL _invalidated;
    NSMutableSet<AppleVZOperation *> *_underWay;
    AppleVZEvent *_unexplained; // a change of state whose reason the framework has still to tell
    AppleVZGuestAgent *_guestAgent;

    pthread_mutex_t _stopErrorLock;
    NSError *_stopError;
}

- (instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration {
    self = [super init];
    if (self == nil)
        return nil;
    pthread_mutex_init(&_stopErrorLock, NULL);
    _queue = applevz_queue_create();
    _configuration = [configuration copy];
    _waiters = [[AppleVZStateWaiters alloc] init];
    _events = [[AppleVZEvents alloc] init];
    _socketListeners = [[AppleVZSocketListeners alloc] init];
    _underWay = [NSMutableSet set];
    _inputTurns = [[AppleVZInputTurns alloc] initWithQueue:_queue];
    applevz_queue_sync(_queue, ^{
        [self adoptNewVirtualMachine];
    });
    // A new machine is stopped, and so is one in place of a discarded one.
    [_waiters announceState:APPLEVZ_MACHINE_STATE_STOPPED];
    return self;
}

- (void)dealloc {
    pthread_mutex_destroy(&_stopErrorLock);
}

#pragma mark On the queue

- (void)adoptNewVirtualMachine {
    _virtualMachine = [[VZVirtualMachine alloc] initWithConfiguration:_configuration queue:_queue];
    // The delegate is weak, and an observer is not retained: invalidate ends both before this object can go.
    _virtualMachine.delegate = self;
    [self setDelegateOfDevices:self];
    [_socketListeners addAllTo:_virtualMachine];
    [_virtualMachine addObserver:self forKeyPath:StateKey options:0 context:&observation];
}

- (void)leaveVirtualMachine {
    if (_virtualMachine == nil)
        return;
    [_virtualMachine removeObserver:self forKeyPath:StateKey];
    [self setDelegateOfDevices:nil];
    _virtualMachine.delegate = nil;
    _virtualMachine = nil;
}

/// The state itself changes at once. Its event, and those who wait for the state and may ask for its event next, wait for
/// explainWithError:.
- (void)changeState:(enum applevz_machine_state)state cause:(enum applevz_event_cause)cause {
    [self explainWithError:nil];
    _unexplained = [AppleVZEvent eventOfKind:APPLEVZ_EVENT_KIND_STATE_CHANGED
                                       cause:cause
                                 stateBefore:self.state
                                       state:state
                                       error:nil];
    [_guestAgent stateChangedFrom:self.state to:state];
    atomic_store_explicit(&_state, (int32_t)state, memory_order_release);
}

/// The framework tells of an error after the state that it led to (in the verb's completion, or by the delegate, or by
/// both) or just before. Where none is told before the queue comes to its next work, there is none.
- (void)observeState:(enum applevz_machine_state)state {
    enum applevz_machine_state before = self.state;
    if (state == before)
        return;
    [self changeState:state cause:applevz_cause_of_change(before, state)];
    if (state == APPLEVZ_MACHINE_STATE_STARTING || state == APPLEVZ_MACHINE_STATE_RESTORING)
        [self setDelegateOfDevices:self];
    AppleVZEvent *event = _unexplained;
    NSError *error = event.cause == APPLEVZ_EVENT_CAUSE_HOST ? self.stopError : nil;
    if (error != nil || !applevz_change_may_have_error(before, state)) {
        [self explainWithError:error];
        return;
    }
    __weak AppleVZMachine *weak_self = self;
    applevz_queue_async(_queue, ^{
        AppleVZMachine *strong_self = weak_self;
        if (strong_self != nil && strong_self->_unexplained == event)
            [strong_self explainWithError:nil];
    });
}

- (void)explainWithError:(NSError *)error {
    AppleVZEvent *event = _unexplained;
    if (event == nil)
        return;
    _unexplained = nil;
    event.error = error;
    [_events add:event];
    [_waiters announceState:event.state];
}

- (void)observeValueForKeyPath:(NSString *)keyPath
                      ofObject:(id)object
                        change:(NSDictionary<NSString *, id> *)change
                       context:(void *)context {
    if (context != &observation) {
        [super observeValueForKeyPath:keyPath ofObject:object change:change context:context];
        return;
    }
    // One that was left behind may still speak; nobody listens.
    if (object == _virtualMachine)
        [self observeState:(enum applevz_machine_state)_virtualMachine.state];
}

- (void)guestDidStopVirtualMachine:(VZVirtualMachine *)virtualMachine {
    if (virtualMachine != _virtualMachine)
        return;
    [self explainWithError:nil];
    [self addEventOfKind:APPLEVZ_EVENT_KIND_GUEST_STOPPED cause:APPLEVZ_EVENT_CAUSE_GUEST device:NSNotFound error:nil];
}

- (void)virtualMachine:(VZVirtualMachine *)virtualMachine didStopWithError:(NSError *)error {
    if (virtualMachine != _virtualMachine)
        return;
    [self rememberStopError:error];
    [self explainWithError:error];
    [self addEventOfKind:APPLEVZ_EVENT_KIND_STOPPED_WITH_ERROR
                   cause:APPLEVZ_EVENT_CAUSE_HOST
                  device:NSNotFound
                   error:error];
}

- (void)takeGuestAgent:(AppleVZGuestAgent *)agent {
    __weak AppleVZMachine *weak_self = self;
    applevz_queue_sync(_queue, ^{
        self->_guestAgent = agent;
        [agent attachToQueue:self->_queue
                clockHandler:^(NSError *_Nullable error) {
                    [weak_self addEventOfKind:APPLEVZ_EVENT_KIND_GUEST_CLOCK_SET
                                        cause:APPLEVZ_EVENT_CAUSE_GUEST
                                       device:NSNotFound
                                        error:error];
                }];
    });
}

- (void)cancelUnderWay:(NSString *)reason {
    NSSet<AppleVZOperation *> *operations = [_underWay copy];
    [_underWay removeAllObjects];
    for (AppleVZOperation *operation in operations)
        [operation completeWithError:cancelled(reason)];
}

/// Sees to it that there is a VZVirtualMachine. After a discard what the configuration names may have gone, and the framework
/// raises for a configuration that is not valid: that is the next verb's to be told.
- (NSError *)errorOfAdopting {
    if (_invalidated)
        return cancelled(@"The virtual machine was released.");
    if (_virtualMachine != nil)
        return nil;
    NSError *error = nil;
    if (![_configuration validateWithError:&error])
        return error ?: applevz_refused_without_reason();
    [self adoptNewVirtualMachine];
    return nil;
}

- (void)call:(AppleVZVerb)verb for:(AppleVZOperation *)operation {
    NSError *refusal = nil;
    @try {
        refusal = [self errorOfAdopting];
    } @catch (NSException *exception) {
        refusal = applevz_error_from_exception(exception);
    }
    if (refusal != nil) {
        [operation completeWithError:refusal];
        return;
    }
    [_underWay addObject:operation];
    // The framework keeps the block until it calls it, which may be never if it ends first: no reference to a machine that
    // could keep itself alive that way.
    __weak AppleVZMachine *weak_self = self;
    void (^completion)(NSError *) = ^(NSError *_Nullable error) {
        AppleVZMachine *strong_self = weak_self;
        if (strong_self == nil) {
            [operation completeWithError:error];
            return;
        }
        // A refusal changed no state.
        if (!is_refusal(error) && [strong_self->_underWay containsObject:operation])
            [strong_self explainWithError:error];
        [operation completeWithError:error];
        [strong_self->_underWay removeObject:operation];
    };
    @try {
        verb(_virtualMachine, completion);
    } @catch (NSException *exception) {
        completion(applevz_error_from_exception(exception));
    }
}

#pragma mark From any thread

- (enum applevz_machine_state)state {
    return (enum applevz_machine_state)atomic_load_explicit(&_state, memory_order_acquire);
}

- (const int32_t *)stateAddress {
    _Static_assert(sizeof(_Atomic(int32_t)) == sizeof(int32_t), "an atomic number is read like another");
    return (const int32_t *)&_state;
}

- (void)rememberStopError:(NSError *)error {
    pthread_mutex_lock(&_stopErrorLock);
    _stopError = error;
    pthread_mutex_unlock(&_stopErrorLock);
}

- (NSError *)stopError {
    pthread_mutex_lock(&_stopErrorLock);
    NSError *error = _stopError;
    pthread_mutex_unlock(&_stopErrorLock);
    return error;
}

- (uint32_t)acceptedVerbs {
    __block uint32_t verbs = 0;
    applevz_queue_sync(_queue, ^{
        VZVirtualMachine *machine = self->_virtualMachine;
        if (machine == nil && !self->_invalidated)
            verbs |= APPLEVZ_MACHINE_VERB_START; // a discarded machine is a stopped one
        if (machine.canStart)
            verbs |= APPLEVZ_MACHINE_VERB_START;
        if (machine.canPause)
            verbs |= APPLEVZ_MACHINE_VERB_PAUSE;
        if (machine.canResume)
            verbs |= APPLEVZ_MACHINE_VERB_RESUME;
        if (machine.canStop)
            verbs |= APPLEVZ_MACHINE_VERB_STOP;
        if (machine.canRequestStop)
            verbs |= APPLEVZ_MACHINE_VERB_REQUEST_STOP;
    });
    return verbs;
}

- (uint64_t)memorySize {
    return _configuration.memorySize; // of a copy that nobody changes
}

- (VZNetworkDeviceAttachment *)configuredAttachmentOfNetworkDevice:(NSUInteger)index {
    return _configuration.networkDevices[index].attachment;
}

- (NSString *)macAddressOfNetworkDevice:(NSUInteger)index {
    return _configuration.networkDevices[index].MACAddress.string;
}

- (NSError *)access:(NSError *_Nullable (^)(VZVirtualMachine *machine))block {
    __block NSError *error = nil;
    applevz_queue_sync(_queue, ^{
        error = [self errorOfAdopting] ?: block(self->_virtualMachine);
    });
    return error;
}

- (AppleVZOperation *)perform:(AppleVZVerb)verb {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    // Here and now, on the caller's thread: nothing on the queue takes long, and a thread less is woken.
    applevz_queue_sync(_queue, ^{
        @autoreleasepool {
            [self call:verb for:operation];
        }
    });
    return operation;
}

- (void)after:(unsigned)milliseconds perform:(void (^)(void))block {
    __weak AppleVZMachine *weak_self = self;
    applevz_queue_after(_queue, milliseconds / 1000.0, ^{
        if (weak_self != nil)
            block();
    });
}

- (AppleVZOperation *)request:(void (^)(VZVirtualMachine *machine, AppleVZOperation *operation,
                                        void (^done)(void)))block {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    NSError *refusal = [self access:^NSError *(VZVirtualMachine *machine) {
        [self->_underWay addObject:operation];
        __weak AppleVZMachine *weak_self = self;
        block(machine, operation, ^{
            AppleVZMachine *strong_self = weak_self;
            if (strong_self != nil)
                [strong_self->_underWay removeObject:operation];
        });
        return nil;
    }];
    if (refusal != nil)
        [operation completeWithError:refusal];
    return operation;
}

- (AppleVZOperation *)performStart:(AppleVZVerb)verb {
    return [self perform:^(VZVirtualMachine *machine, void (^completion)(NSError *)) {
        if (machine.canStart)
            [self rememberStopError:nil];
        verb(machine, completion);
    }];
}

- (AppleVZOperation *)performRestore:(AppleVZVerb)verb {
    return [self perform:^(VZVirtualMachine *machine, void (^completion)(NSError *)) {
        if (machine.state == VZVirtualMachineStateStopped)
            [self rememberStopError:nil];
        verb(machine, completion);
    }];
}

- (AppleVZOperation *)waitForStates:(uint32_t)states {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    [_waiters add:operation forStates:states];
    return operation;
}

- (AppleVZOperation *)discard {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    applevz_queue_async(_queue, ^{
        if (self->_invalidated) {
            [operation completeWithError:cancelled(@"The virtual machine was released.")];
            return;
        }
        // The pool's end is the end of the framework's object, and with it of what ran.
        @autoreleasepool {
            [self leaveVirtualMachine];
        }
        [self cancelUnderWay:@"The virtual machine was discarded while the operation was under way."];
        if (self.state != APPLEVZ_MACHINE_STATE_STOPPED)
            [self changeState:APPLEVZ_MACHINE_STATE_STOPPED cause:APPLEVZ_EVENT_CAUSE_DISCARD];
        [self explainWithError:nil];
        [operation completeWithError:nil];
    });
    return operation;
}

- (void)invalidate {
    applevz_queue_async(_queue, ^{
        self->_invalidated = YES;
        @autoreleasepool {
            [self leaveVirtualMachine];
        }
        NSString *reason = @"The virtual machine was released while the operation was under way.";
        [self cancelUnderWay:reason];
        [self->_waiters cancelWithError:cancelled(reason)];
        [self->_events cancelWithError:cancelled(reason)];
        [self->_socketListeners closeWithError:cancelled(reason)];
    });
}

@end
