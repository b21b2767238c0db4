// SPDX-License-Identifier: Apache-2.0
#import "machine_private.h"
#import "statistics.h"
#import "boundary/causes.h"
#import "boundary/guard.h"
#import "waiting/dispatching.h"

// How long a report of the framework's waits for the state that belongs to it, or for the reason of a state. If all
// goes well, that comes within a turn or two of the queue; after this time the report is passed on as it is.
static const double PatienceSeconds = 2;
static const double FirstPauseSeconds = 0.001, LongestPauseSeconds = 0.05;

static NSString *const StateKey = @"state";
static char observation;

static bool is_refusal(NSError *_Nullable error) {
    return [error.domain isEqualToString:VZErrorDomain] && (error.code == VZErrorInvalidVirtualMachineState ||
                                                            error.code == VZErrorInvalidVirtualMachineStateTransition);
}

/// Whether no run is under way.
static BOOL has_ended(enum applevz_machine_state state) {
    return state == APPLEVZ_MACHINE_STATE_STOPPED || state == APPLEVZ_MACHINE_STATE_ERROR;
}

@implementation AppleVZCall

- (instancetype)initThrough:(enum applevz_machine_state)passing changes:(uint64_t)changes {
    self = [super init];
    if (self != nil) {
        _passing = passing;
        _changes = changes;
    }
    return self;
}

@end

/// Something that waits until the machine's state fits.
@interface AppleVZLook : NSObject
/// Neither block keeps the machine.
@property (copy) BOOL (^fits)(AppleVZMachine *machine);
@property (copy) void (^work)(AppleVZMachine *machine);
@end

@implementation AppleVZLook
@end

@implementation AppleVZMachine (States)

#pragma mark Looking

- (void)beginObserving {
    // The delegate is weak, and an observer is not retained: endObserving comes before this object can go.
    _virtualMachine.delegate = self;
    [_virtualMachine addObserver:self forKeyPath:StateKey options:0 context:&observation];
}

- (void)endObserving {
    VZVirtualMachine *machine = _virtualMachine;
    (void)applevz_error_raised_by(^{
        [machine removeObserver:self forKeyPath:StateKey];
    });
    (void)applevz_error_raised_by(^{
        machine.delegate = nil;
    });
}

/// A state that the framework raises for is not known: it is looked at again with the next notice, which goes on as
/// this one does.
- (void)lookAtState {
    __block BOOL is_known = NO;
    __block enum applevz_machine_state state = APPLEVZ_MACHINE_STATE_STOPPED;
    (void)applevz_error_raised_by(^{
        state = (enum applevz_machine_state)self->_virtualMachine.state;
        is_known = self->_virtualMachine != nil;
    });
    if (is_known)
        [self observeState:state];
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
        applevz_guard_infallible(^{
            [self noteKind:APPLEVZ_NOTICE_KIND_STATE_OBSERVED call:0 error:nil];
            [self lookAtState];
        });
}

/// Runs the work once the state fits: now, or with a later look; in the end without.
- (void)when:(BOOL (^)(AppleVZMachine *machine))fits perform:(void (^)(AppleVZMachine *machine))work {
    [self lookAtState];
    if (fits(self)) {
        work(self);
        return;
    }
    AppleVZLook *look = [[AppleVZLook alloc] init];
    look.fits = fits;
    look.work = work;
    [_looks addObject:look];
    [self lookAgain:look after:0 pause:FirstPauseSeconds];
}

/// Nobody tells of a state that has been told of: it is looked for.
- (void)lookAgain:(AppleVZLook *)look after:(double)waited pause:(double)pause {
    __weak AppleVZMachine *weak_self = self;
    __weak AppleVZLook *weak_look = look;
    void (^look_again)(void) = ^{
        AppleVZMachine *strong_self = weak_self;
        applevz_guard_infallible(^{
            [strong_self lookAtState];
        });
        AppleVZLook *strong_look = weak_look;
        if (strong_self == nil || strong_look == nil || ![strong_self->_looks containsObject:strong_look])
            return;
        if (waited + pause < PatienceSeconds) {
            [strong_self lookAgain:strong_look after:waited + pause pause:MIN(2 * pause, LongestPauseSeconds)];
            return;
        }
        [strong_self->_looks removeObject:strong_look];
        strong_look.work(strong_self);
    };
    applevz_queue_after(_queue, pause, look_again, ^(NSError *raised) {
        (void)raised; // what it does calls nothing of the framework's
    });
}

- (void)performWhatFits {
    for (AppleVZLook *look in [_looks copy]) {
        // One that was performed may have led to the next state, and have brought the others here.
        if (![_looks containsObject:look] || !look.fits(self))
            continue;
        [_looks removeObject:look];
        look.work(self);
    }
}

#pragma mark Verbs

- (void)began:(AppleVZCall *)call {
    if (!call.isOver && call.passing != APPLEVZ_MACHINE_STATE_STOPPED)
        [_calls addObject:call];
    [self lookAtState];
}

/// Whether the state is there that the framework has told of with the call's completion.
- (BOOL)showsEndOf:(AppleVZCall *)call withError:(nullable NSError *)error {
    if (!applevz_state_lasts(self.state))
        return NO;
    // One that failed may have been refused before anything changed. One that succeeded has changed something, unless
    // it leads back to where it began; and by now more may have happened.
    return error != nil || _changes != call.changes || self.state == applevz_goal_of(call.passing);
}

- (void)ended:(AppleVZCall *)call withError:(NSError *)error then:(void (^)(void))block {
    void (^end)(AppleVZMachine *) = ^(AppleVZMachine *machine) {
        [machine->_calls removeObject:call];
        block();
    };
    if (call.passing == APPLEVZ_MACHINE_STATE_STOPPED || is_refusal(error)) {
        // It changed no state.
        [self lookAtState];
        end(self);
        return;
    }
    [self
        when:^BOOL(AppleVZMachine *machine) {
            return [machine showsEndOf:call withError:error];
        }
        perform:^(AppleVZMachine *machine) {
            enum applevz_event_cause cause = applevz_cause_of_change(call.passing, applevz_goal_of(call.passing));
            AppleVZEvent *event = machine->_unexplained;
            if (error != nil || event.cause == cause)
                [machine explainWithError:error];
            end(machine);
        }];
}

- (void)forgetCalls {
    [_calls removeAllObjects];
    [_looks removeAllObjects];
    [_untoldEnds forgetAll];
}

#pragma mark Changes

- (void)changeState:(enum applevz_machine_state)state cause:(enum applevz_event_cause)cause {
    [self explainWithError:nil];
    enum applevz_machine_state before = self.state;
    _unexplained = [AppleVZEvent eventOfKind:APPLEVZ_EVENT_KIND_STATE_CHANGED
                                       cause:cause
                                 stateBefore:before
                                       state:state
                                       error:nil];
    _changes++;
    // The guest's clock is no reason not to see the state.
    applevz_guard_infallible(^{
        [self->_guestAgent stateChangedFrom:before to:state];
    });
    if (state == APPLEVZ_MACHINE_STATE_STARTING || state == APPLEVZ_MACHINE_STATE_RESTORING)
        [_panics beginGuest];
    self.state = state;
}

/// Of a change between two states that last a verb may be the cause, whose own state was over before anybody looked.
- (enum applevz_event_cause)causeOfChangeFrom:(enum applevz_machine_state)before to:(enum applevz_machine_state)state {
    if (applevz_state_lasts(before))
        for (AppleVZCall *call in _calls)
            if (call.changes == _changes && applevz_goal_of(call.passing) == state)
                return applevz_cause_of_change(call.passing, state);
    return applevz_cause_of_change(before, state);
}

/// What is kept of a run, of which only its states say when it begins and ends.
- (void)noteRunFrom:(enum applevz_machine_state)before
                 to:(enum applevz_machine_state)state
              cause:(enum applevz_event_cause)cause {
    if (has_ended(before) && !has_ended(state)) {
        self.rememberedStopError = nil;
        _runBegan = applevz_monotonic_seconds();
        [_untoldEnds beginRun];
    } else if (!has_ended(before) && has_ended(state) &&
               (cause == APPLEVZ_EVENT_CAUSE_HOST || cause == APPLEVZ_EVENT_CAUSE_GUEST)) {
        [_untoldEnds addEndIn:state];
    }
}

/// The framework tells of an error in a verb's completion, by the delegate, or by both: before the state that it led
/// to, with it, or after it.
- (void)observeState:(enum applevz_machine_state)state {
    enum applevz_machine_state before = self.state;
    if (state == before)
        return;
    enum applevz_event_cause cause = [self causeOfChangeFrom:before to:state];
    [self changeState:state cause:cause];
    [self noteRunFrom:before to:state cause:cause];
    // What happens to a device whose delegate cannot be set is not told; the state is.
    if (state == APPLEVZ_MACHINE_STATE_STARTING || state == APPLEVZ_MACHINE_STATE_RESTORING)
        (void)applevz_error_raised_by(^{
            [self setDelegateOfDevices:self];
        });
    AppleVZEvent *event = _unexplained;
    // What was told before the state is its reason.
    [self performWhatFits];
    if (_unexplained != event)
        return;
    // Somebody will tell: the delegate of what ends by itself, and a verb by its completion.
    BOOL will_be_told = state == APPLEVZ_MACHINE_STATE_ERROR || _calls.count > 0;
    if (will_be_told && applevz_change_may_have_error(before, state))
        [self awaitReasonOf:event];
    else
        [self explainWithError:nil];
}

- (void)awaitReasonOf:(AppleVZEvent *)event {
    __weak AppleVZMachine *weak_self = self;
    __weak AppleVZEvent *weak_event = event;
    void (^give_up)(void) = ^{
        AppleVZMachine *strong_self = weak_self;
        AppleVZEvent *strong_event = weak_event;
        if (strong_self != nil && strong_event != nil && strong_self->_unexplained == strong_event)
            [strong_self explainWithError:nil];
    };
    void (^ignored)(NSError *) = ^(NSError *raised) {
        (void)raised; // none of it calls the framework
    };
    applevz_queue_after(_queue, PatienceSeconds, give_up, ignored);
}

- (void)explainWithError:(NSError *)error {
    [self explainWithError:error then:nil];
}

/// What is told with a change of state is there for whoever waited for the state.
- (void)explainWithError:(NSError *)error then:(__attribute__((noescape)) void (^)(void))tell {
    AppleVZEvent *event = _unexplained;
    _unexplained = nil;
    if (event != nil) {
        event.error = error;
        if (event.state == APPLEVZ_MACHINE_STATE_ERROR && self.rememberedStopError == nil)
            self.rememberedStopError = error;
        [self.events add:event];
    }
    if (tell != nil)
        tell();
    if (event != nil)
        [_waiters announceState:event.state];
}

#pragma mark The delegate

/// Whether the delegate is told of a run before the present one; its event is added then, and is no reason of a state
/// since.
- (BOOL)addEventOfEarlierRun:(enum applevz_event_kind)kind
                       cause:(enum applevz_event_cause)cause
                       error:(nullable NSError *)error {
    enum applevz_machine_state state = APPLEVZ_MACHINE_STATE_STOPPED;
    [self lookAtState];
    if (![_untoldEnds takeEarlierEnd:&state])
        return NO;
    [self.events add:[AppleVZEvent eventOfKind:kind cause:cause stateBefore:state state:state error:error]];
    return YES;
}

- (void)guestDidStopVirtualMachine:(VZVirtualMachine *)virtualMachine {
    if (virtualMachine != _virtualMachine)
        return;
    applevz_guard_infallible(^{
        [self noteKind:APPLEVZ_NOTICE_KIND_GUEST_STOPPED call:0 error:nil];
        if ([self addEventOfEarlierRun:APPLEVZ_EVENT_KIND_GUEST_STOPPED cause:APPLEVZ_EVENT_CAUSE_GUEST error:nil])
            return;
        [self
            when:^BOOL(AppleVZMachine *machine) {
                return machine.state == APPLEVZ_MACHINE_STATE_STOPPED;
            }
            perform:^(AppleVZMachine *machine) {
                [machine->_untoldEnds forgetPresentEnd];
                [machine explainWithError:nil
                                     then:^{
                                         [machine addEventOfKind:APPLEVZ_EVENT_KIND_GUEST_STOPPED
                                                           cause:APPLEVZ_EVENT_CAUSE_GUEST
                                                          device:NSNotFound
                                                           error:nil];
                                     }];
            }];
    });
}

- (void)virtualMachine:(VZVirtualMachine *)virtualMachine didStopWithError:(NSError *)error {
    if (virtualMachine != _virtualMachine)
        return;
    applevz_guard_infallible(^{
        [self noteKind:APPLEVZ_NOTICE_KIND_STOPPED_WITH_ERROR call:0 error:error];
        if ([self addEventOfEarlierRun:APPLEVZ_EVENT_KIND_STOPPED_WITH_ERROR
                                 cause:APPLEVZ_EVENT_CAUSE_HOST
                                 error:error])
            return;
        self.rememberedStopError = error;
        [self
            when:^BOOL(AppleVZMachine *machine) {
                return machine.state == APPLEVZ_MACHINE_STATE_ERROR || machine.state == APPLEVZ_MACHINE_STATE_STOPPED;
            }
            perform:^(AppleVZMachine *machine) {
                [machine->_untoldEnds forgetPresentEnd];
                [machine explainWithError:error
                                     then:^{
                                         [machine addEventOfKind:APPLEVZ_EVENT_KIND_STOPPED_WITH_ERROR
                                                           cause:APPLEVZ_EVENT_CAUSE_HOST
                                                          device:NSNotFound
                                                           error:error];
                                     }];
            }];
    });
}

@end

@implementation AppleVZMachine (LastingStates)

- (void)whenStateLasts:(void (^)(void))block {
    [self
        when:^BOOL(AppleVZMachine *machine) {
            return applevz_state_lasts(machine.state);
        }
        perform:^(AppleVZMachine *machine) {
            (void)machine;
            block();
        }];
}

@end
