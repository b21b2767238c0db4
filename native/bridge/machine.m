// SPDX-License-Identifier: Apache-2.0
#import "machine.h"
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

@interface AppleVZMachine () <VZVirtualMachineDelegate>
@end

@implementation AppleVZMachine {
    dispatch_queue_t _queue;
    VZVirtualMachineConfiguration *_configuration; // a copy: what a discarded machine is replaced from
    AppleVZStateWaiters *_waiters;
    _Atomic(int) _state;

    // Used on the queue only.
    VZVirtualMachine *_virtualMachine; // nil once invalidated
    NSMutableSet<AppleVZOperation *> *_underWay;

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
    _underWay = [NSMutableSet set];
    applevz_queue_sync(_queue, ^{
        [self adoptNewVirtualMachine];
    });
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
    [_virtualMachine addObserver:self forKeyPath:StateKey options:0 context:&observation];
    [self announceState:(enum applevz_machine_state)_virtualMachine.state];
}

- (void)leaveVirtualMachine {
    [_virtualMachine removeObserver:self forKeyPath:StateKey];
    _virtualMachine.delegate = nil;
    _virtualMachine = nil;
}

- (void)announceState:(enum applevz_machine_state)state {
    atomic_store_explicit(&_state, (int)state, memory_order_release);
    [_waiters announceState:state];
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
        [self announceState:(enum applevz_machine_state)_virtualMachine.state];
}

- (void)virtualMachine:(VZVirtualMachine *)virtualMachine didStopWithError:(NSError *)error {
    if (virtualMachine == _virtualMachine)
        [self rememberStopError:error];
}

- (void)cancelUnderWay:(NSString *)reason {
    NSSet<AppleVZOperation *> *operations = [_underWay copy];
    [_underWay removeAllObjects];
    for (AppleVZOperation *operation in operations)
        [operation completeWithError:cancelled(reason)];
}

- (void)call:(AppleVZVerb)verb for:(AppleVZOperation *)operation {
    if (_virtualMachine == nil) {
        [operation completeWithError:cancelled(@"The virtual machine was released.")];
        return;
    }
    [_underWay addObject:operation];
    // The framework keeps the block until it calls it, which may be never if it ends first: no reference to a machine that
    // could keep itself alive that way.
    __weak AppleVZMachine *weak_self = self;
    void (^completion)(NSError *) = ^(NSError *_Nullable error) {
        [operation completeWithError:error];
        AppleVZMachine *strong_self = weak_self;
        if (strong_self != nil)
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

- (AppleVZOperation *)perform:(AppleVZVerb)verb {
    AppleVZOperation *operation = [[AppleVZOperation alloc] init];
    applevz_queue_async(_queue, ^{
        [self call:verb for:operation];
    });
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
        if (self->_virtualMachine == nil) {
            [operation completeWithError:cancelled(@"The virtual machine was released.")];
            return;
        }
        @try {
            @autoreleasepool {
                [self leaveVirtualMachine];
            }
            [self cancelUnderWay:@"The virtual machine was discarded while the operation was under way."];
            [self adoptNewVirtualMachine];
            [operation completeWithError:nil];
        } @catch (NSException *exception) {
            [operation completeWithError:applevz_error_from_exception(exception)];
        }
    });
    return operation;
}

- (void)invalidate {
    applevz_queue_async(_queue, ^{
        if (self->_virtualMachine == nil)
            return;
        @autoreleasepool {
            [self leaveVirtualMachine];
        }
        NSString *reason = @"The virtual machine was released while the operation was under way.";
        [self cancelUnderWay:reason];
        [self->_waiters cancelWithError:cancelled(reason)];
    });
}

@end
