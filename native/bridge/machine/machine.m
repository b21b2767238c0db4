// SPDX-License-Identifier: Apache-2.0
#import "machine_private.h"
#import "configuration/configuration_files.h"
#import "configuration/kernels.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/missing_capabilities.h"
#import "waiting/dispatching.h"
#import <pthread.h>
#import <stdatomic.h>

#define STATE_IS(ours, theirs)                                                                                         \
    _Static_assert((int)APPLEVZ_MACHINE_STATE_##ours == (int)VZVirtualMachineState##theirs, "")
STATE_IS(STOPPED, Stopped);
STATE_IS(RUNNING, Running);
STATE_IS(PAUSED, Paused);
STATE_IS(ERROR, Error);
STATE_IS(STARTING, Starting);
STATE_IS(PAUSING, Pausing);
STATE_IS(RESUMING, Resuming);
STATE_IS(STOPPING, Stopping);

// The framework has told by then, or does not.
enum { STOP_ERROR_SECONDS = 3 };

static NSError *cancelled(NSString *reason) {
    return applevz_error(VZErrorDomain, VZErrorOperationCancelled, @"The operation was cancelled.", reason, nil);
}

@implementation AppleVZMachine {
    _Atomic(int32_t) _state;
    _Atomic(uint64_t) _lastDeviceClosings;

    // Used on the queue only.
    BOOL _invalidated;
    NSMutableSet<AppleVZOperation *> *_underWay;
    uint64_t _lastCall; // of a verb, in the notices

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
    _calls = [NSMutableArray array];
    _looks = [NSMutableArray array];
    _untoldEnds = [[AppleVZRunEnds alloc] init];
    _inputTurns = [[AppleVZInputTurns alloc] initWithQueue:_queue];
    _panics = [[AppleVZPanics alloc] initWithResetsTold:applevz_guest_resets_missing() == nil];
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

/// All of it or nothing: a machine without an observer would be one whose state nobody hears of.
- (void)adoptNewVirtualMachine {
    @try {
        [self adopt:[[VZVirtualMachine alloc] initWithConfiguration:_configuration queue:_queue]];
    } @catch (NSException *exception) {
        [self leaveVirtualMachine];
        @throw;
    }
}

- (void)adopt:(VZVirtualMachine *)machine {
    _virtualMachine = machine;
    [self setDelegateOfDevices:self];
    [_socketListeners addAllTo:_virtualMachine];
    [self beginObserving];
}

/// Each step is done whatever another raises, which nobody could do anything about: the machine is left in any case.
/// One that was adopted by half has no observer to be removed, for which the framework raises.
- (void)leaveVirtualMachine {
    if (_virtualMachine == nil)
        return;
    [self endObserving];
    (void)applevz_error_raised_by(^{
        [self setDelegateOfDevices:nil];
    });
    _virtualMachine = nil;
    [self forgetCalls];
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

- (ssize_t)useGuestAgent:(ssize_t (^)(AppleVZGuestAgent *_Nullable agent))block {
    __block ssize_t result = 0;
    applevz_queue_sync(_queue, ^{
        result = block(self->_guestAgent);
    });
    return result;
}

- (void)noteKind:(enum applevz_notice_kind)kind call:(uint64_t)call error:(NSError *)error {
    if (_notices == nil)
        return;
    // Elsewhere the framework's object may not be asked; that a notice came there is one of the things to know.
    BOOL on_queue = applevz_queue_is_current(_queue);
    applevz_notice notice = {.kind = kind, .call = call, .on_queue = on_queue};
    notice.state = on_queue && _virtualMachine != nil ? (enum applevz_machine_state)_virtualMachine.state : self.state;
    [_notices add:notice error:error];
}

- (BOOL)runsOn:(VZVirtualMachine *)virtualMachine {
    return virtualMachine != nil && virtualMachine == _virtualMachine;
}

- (void)cancelUnderWay:(NSString *)reason {
    NSSet<AppleVZOperation *> *operations = [_underWay copy];
    [_underWay removeAllObjects];
    for (AppleVZOperation *operation in operations)
        [operation completeWithError:cancelled(reason)];
}

/// Sees to it that there is a VZVirtualMachine. After a discard what the configuration names may have gone, and the
/// framework raises for a configuration that is not valid: that is the next verb's to be told.
- (NSError *)errorOfAdopting {
    if (_invalidated)
        return cancelled(@"The virtual machine was released.");
    if (_virtualMachine != nil)
        return nil;
    NSError *error = applevz_error_of_configuration(_configuration);
    if (error == nil)
        [self adoptNewVirtualMachine];
    return error;
}

- (void)call:(AppleVZVerb)verb through:(enum applevz_machine_state)passing for:(AppleVZOperation *)operation {
    __block NSError *refusal = nil;
    NSError *raised = applevz_error_raised_by(^{
        refusal = [self errorOfAdopting];
    });
    refusal = raised != nil ? applevz_refusal_of_configuration(raised, _configuration) : refusal;
    if (refusal != nil) {
        [operation completeWithError:refusal];
        return;
    }
    [_underWay addObject:operation];
    AppleVZCall *call = [[AppleVZCall alloc] initThrough:passing changes:_changes];
    // The framework keeps the block until it calls it, which may be never if it ends first: no reference to a machine
    // that could keep itself alive that way.
    __weak AppleVZMachine *weak_self = self;
    // These verbs use the files of the configuration, which may be to blame where they fail.
    BOOL usesFiles = passing == APPLEVZ_MACHINE_STATE_STARTING || passing == APPLEVZ_MACHINE_STATE_RESTORING;
    VZVirtualMachineConfiguration *configuration = _configuration;
    uint64_t number = ++_lastCall;
    void (^completion)(NSError *) = ^(NSError *_Nullable error) {
        AppleVZMachine *strong_self = weak_self;
        applevz_guard_infallible(^{
            [strong_self noteKind:APPLEVZ_NOTICE_KIND_COMPLETED call:number error:error];
        });
        // Once: what comes a second time is about nothing that is under way.
        if (call.isOver)
            return;
        call.isOver = YES;
        if (error != nil && usesFiles)
            error = applevz_refusal_of_configuration(error, configuration);
        // One that was let go, or whose machine was discarded, has completed.
        if (strong_self == nil || ![strong_self->_underWay containsObject:operation]) {
            [operation completeWithError:error];
            return;
        }
        void (^complete)(void) = ^{
            [operation completeWithError:error];
            AppleVZMachine *machine = weak_self;
            if (machine != nil)
                [machine->_underWay removeObject:operation];
        };
        // Whatever comes of the look at its state, the operation ends.
        if (applevz_error_raised_by(^{
                [strong_self ended:call withError:error then:complete];
            }) != nil)
            complete();
    };
    raised = applevz_error_raised_by(^{
        [self noteKind:APPLEVZ_NOTICE_KIND_CALLED call:number error:nil];
        verb(self->_virtualMachine, completion);
        [self noteKind:APPLEVZ_NOTICE_KIND_RETURNED call:number error:nil];
    });
    if (raised != nil)
        completion(raised);
    applevz_guard_infallible(^{
        [self began:call];
    });
}

#pragma mark From any thread

- (enum applevz_machine_state)state {
    return (enum applevz_machine_state)atomic_load_explicit(&_state, memory_order_acquire);
}

- (void)setState:(enum applevz_machine_state)state {
    atomic_store_explicit(&_state, (int32_t)state, memory_order_release);
}

- (uint64_t)lastDeviceClosings {
    return atomic_load_explicit(&_lastDeviceClosings, memory_order_relaxed);
}

- (void)countLastDeviceClosing {
    atomic_fetch_add_explicit(&_lastDeviceClosings, 1, memory_order_relaxed);
}

- (uint64_t)panics {
    return _panics.count;
}

- (void)tellPanicForGood:(BOOL)forGood anew:(BOOL)anew {
    applevz_queue_sync(_queue, ^{
        if (forGood)
            [self->_panics staysPanicked];
        else if ([self->_panics isNewsFromConsole:anew])
            [self addEventOfGuest:APPLEVZ_EVENT_KIND_GUEST_PANICKED];
    });
}

/// No message is sent: it is right in a forked child too, where the state never changes.
const int32_t *applevz_machine_state_address(applevz_machine *machine) {
    _Static_assert(sizeof(_Atomic(int32_t)) == sizeof(int32_t), "an atomic number is read like another");
    __unsafe_unretained AppleVZMachine *object = (__bridge AppleVZMachine *)machine;
    return (const int32_t *)&object->_state;
}

- (void)setRememberedStopError:(NSError *)error {
    pthread_mutex_lock(&_stopErrorLock);
    _stopError = error;
    pthread_mutex_unlock(&_stopErrorLock);
}

- (NSError *)rememberedStopError {
    pthread_mutex_lock(&_stopErrorLock);
    NSError *error = _stopError;
    pthread_mutex_unlock(&_stopErrorLock);
    return error;
}

- (NSError *)stopError {
    NSError *error = [self rememberedStopError];
    if (error != nil || self.state != APPLEVZ_MACHINE_STATE_ERROR)
        return error;
    // The reason may come after the state. Whoever waits for the state is told when both are there.
    [[self waitForStates:UINT32_C(1) << APPLEVZ_MACHINE_STATE_ERROR] waitForSeconds:STOP_ERROR_SECONDS];
    return [self rememberedStopError];
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

- (void)keepNotices {
    applevz_queue_sync(_queue, ^{
        self->_notices = [[AppleVZNotices alloc] initWithQueue:self->_queue];
    });
}

- (AppleVZOperation *)perform:(AppleVZVerb)verb through:(enum applevz_machine_state)passing {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    // Here and now, on the caller's thread: nothing on the queue takes long, and a thread less is woken.
    applevz_queue_sync(_queue, ^{
        @autoreleasepool {
            [self call:verb through:passing for:operation];
        }
    });
    return operation;
}

- (void)after:(unsigned)milliseconds perform:(void (^)(void))block failed:(void (^)(NSError *error))failed {
    __weak AppleVZMachine *weak_self = self;
    void (^work)(void) = ^{
        if (weak_self != nil)
            block();
    };
    applevz_queue_after(_queue, milliseconds / 1000.0, work, failed);
}

- (AppleVZOperation *)request:(void (^)(VZVirtualMachine *machine, AppleVZOperation *operation,
                                        void (^done)(void)))block {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    NSError *refusal = [self access:^NSError *(VZVirtualMachine *machine) {
        [self->_underWay addObject:operation];
        __weak AppleVZMachine *weak_self = self;
        void (^done)(void) = ^{
            AppleVZMachine *strong_self = weak_self;
            if (strong_self != nil)
                [strong_self->_underWay removeObject:operation];
        };
        NSError *raised = applevz_error_raised_by(^{
            block(machine, operation, done);
        });
        if (raised != nil)
            done();
        return raised;
    }];
    if (refusal != nil)
        [operation completeWithError:refusal];
    return operation;
}

- (AppleVZOperation *)performStart:(AppleVZVerb)verb {
    VZVirtualMachineConfiguration *configuration = _configuration;
    AppleVZVerb start = ^(VZVirtualMachine *machine, void (^completion)(NSError *)) {
        // The file may be another one by now, and the framework would not say what is wrong with it.
        NSError *refusal = machine.canStart ? [AppleVZKernels errorOfKernelIn:configuration] : nil;
        if (refusal != nil)
            completion(refusal);
        else
            verb(machine, completion);
    };
    return [self perform:start through:APPLEVZ_MACHINE_STATE_STARTING];
}

- (AppleVZOperation *)performRestore:(AppleVZVerb)verb {
    return [self perform:verb through:APPLEVZ_MACHINE_STATE_RESTORING];
}

- (AppleVZOperation *)waitForStates:(uint32_t)states {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    [_waiters add:operation forStates:states];
    return operation;
}

- (AppleVZOperation *)discard {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    void (^work)(void) = ^{
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
    };
    applevz_queue_async(_queue, work, ^(NSError *raised) {
        [operation completeWithError:raised];
    });
    return operation;
}

- (void)invalidate {
    void (^work)(void) = ^{
        self->_invalidated = YES;
        @autoreleasepool {
            [self leaveVirtualMachine];
        }
        NSString *reason = @"The virtual machine was released while the operation was under way.";
        [self cancelUnderWay:reason];
        [self->_waiters cancelWithError:cancelled(reason)];
        [self->_events cancelWithError:cancelled(reason)];
        [self->_socketListeners closeWithError:cancelled(reason)];
    };
    // Nobody is there to be told; all that calls the framework here drops what that raises by itself.
    applevz_queue_async(_queue, work, ^(NSError *raised) {
        (void)raised;
    });
}

@end
