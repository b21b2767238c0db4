// SPDX-License-Identifier: Apache-2.0
// In which order a machine tells of one thing: by key-value observation of its state, to its delegate, and to the
// completion handler of the verb; and whether the state itself has changed by then. Turns are those of the machine's
// queue.
#import "policy.h"
#import <objc/runtime.h>

typedef void (^Completion)(NSError *_Nullable error);
typedef void (^Telling)(id<VZVirtualMachineDelegate> delegate);
typedef void (*Verb)(id self, SEL selector, Completion completion);
typedef void (*VerbWithURL)(id self, SEL selector, NSURL *url, Completion completion);
typedef void (*Change)(id self, SEL selector, NSString *key);
typedef void (*Finish)(id self, SEL selector, VZVirtualMachineState state, NSError *error, Telling telling);

@interface VZVirtualMachine (PlayedMac)
- (void)finishInState:(VZVirtualMachineState)state error:(NSError *)error telling:(Telling)telling;
@end

/// How many turns after the state.
static NSInteger observation_turns, delegate_turns;
static BOOL observation_is_lost, delegate_is_early, delegate_waits, state_is_late;

#pragma mark Completion

static Completion played_completion(VZVirtualMachine *machine, Completion completion) {
    dispatch_queue_t queue = machine.queue;
    return ^(NSError *_Nullable error) {
        played_mac_complete(queue, ^{
            completion(error);
        });
    };
}

#define PLAY_VERB(name)                                                                                                \
    static Verb original_##name;                                                                                       \
    static void played_##name(VZVirtualMachine *self, SEL selector, Completion completion) {                           \
        original_##name(self, selector, played_completion(self, completion));                                          \
    }
#define PLAY_VERB_WITH_URL(name)                                                                                       \
    static VerbWithURL original_##name;                                                                                \
    static void played_##name(VZVirtualMachine *self, SEL selector, NSURL *url, Completion completion) {               \
        original_##name(self, selector, url, played_completion(self, completion));                                     \
    }

PLAY_VERB(start)
PLAY_VERB(stop)
PLAY_VERB(pause)
PLAY_VERB(resume)
PLAY_VERB_WITH_URL(save)
PLAY_VERB_WITH_URL(restore)

#pragma mark Observation

static Change original_will_change, original_did_change;

static BOOL is_late(NSString *key) {
    return (observation_turns > 0 || observation_is_lost) && ([key isEqualToString:@"state"] || [key hasPrefix:@"can"]);
}

static void played_will_change(VZVirtualMachine *self, SEL selector, NSString *key) {
    if (!is_late(key))
        original_will_change(self, selector, key);
}

static void played_did_change(VZVirtualMachine *self, SEL selector, NSString *key) {
    if (!is_late(key)) {
        original_did_change(self, selector, key);
        return;
    }
    if (observation_is_lost)
        return;
    __weak VZVirtualMachine *weak_self = self;
    played_mac_after_turns(self.queue, observation_turns, ^{
        VZVirtualMachine *machine = weak_self;
        if (machine == nil)
            return;
        original_will_change(machine, @selector(willChangeValueForKey:), key);
        original_did_change(machine, @selector(didChangeValueForKey:), key);
    });
}

#pragma mark The delegate, and the state itself

static Finish original_finish;

/// The completion of the verb under way, which the machine has no longer.
static Completion take_completion(VZVirtualMachine *machine) {
    ptrdiff_t offset = ivar_getOffset(class_getInstanceVariable([VZVirtualMachine class], "_verbCompletion"));
    __strong id *place = (__strong id *)(void *)((char *)(__bridge void *)machine + offset);
    Completion completion = *place;
    *place = nil;
    return completion;
}

static void tell(VZVirtualMachine *machine, Telling telling) {
    id<VZVirtualMachineDelegate> delegate = machine.delegate;
    if (telling != nil && delegate != nil)
        telling(delegate);
}

/// In the order of the ends, whichever of those that wait sees the file first.
static void tell_when_allowed(dispatch_queue_t queue, dispatch_block_t block) {
    static NSMutableArray<dispatch_block_t> *untold;
    if (untold == nil)
        untold = [NSMutableArray array];
    [untold addObject:block];
    played_mac_when_allowed(@"delegate until", queue, ^{
        dispatch_block_t oldest = untold.firstObject;
        [untold removeObjectAtIndex:0];
        oldest();
    });
}

static void played_finish(VZVirtualMachine *self, SEL selector, VZVirtualMachineState state, NSError *error,
                          Telling telling) {
    if (delegate_turns > 0 || delegate_waits) {
        // Before it changes anything: the state may have it let go.
        __weak VZVirtualMachine *weak_self = self;
        dispatch_queue_t queue = self.queue;
        original_finish(self, selector, state, error, nil);
        dispatch_block_t tell_then = ^{
            tell(weak_self, telling);
        };
        if (telling != nil && delegate_waits)
            tell_when_allowed(queue, tell_then);
        else
            played_mac_after_turns(queue, delegate_turns, tell_then);
        return;
    }
    if (!(state_is_late || (delegate_is_early && telling != nil))) {
        original_finish(self, selector, state, error, telling);
        return;
    }
    Completion completion = state_is_late ? take_completion(self) : nil;
    dispatch_queue_t queue = self.queue;
    tell(self, telling);
    if (completion != nil)
        completion(error);
    // A verb that began meanwhile, which only a machine that was running can, ends with it.
    played_mac_after_turns(queue, 1, ^{
        original_finish(self, selector, state, error, nil);
    });
}

#pragma mark -

#define REPLACE(type, name, message)                                                                                   \
    original_##name = PLAYED_MAC_METHOD(                                                                               \
        type, played_mac_replace([VZVirtualMachine class], @selector(message), PLAYED_MAC_FUNCTION(played_##name)))

__attribute__((constructor)) static void play_states(void) {
    delegate_is_early = played_mac_is(@"delegate", @"early");
    delegate_turns = played_mac_is(@"delegate", @"late") ? 1 : 0;
    delegate_waits = played_mac_text(@"delegate until") != nil;
    observation_is_lost = played_mac_is(@"observation", @"never");
    state_is_late = played_mac_is(@"state", @"late");
    if (played_mac_is(@"observation", @"early") && !delegate_is_early)
        delegate_turns = 1;
    if (played_mac_is(@"observation", @"late"))
        observation_turns = played_mac_is(@"completion", @"twice late") ? 3
                            : played_mac_is(@"completion", @"late")     ? 2
                                                                        : 1;
    REPLACE(Verb, start, startWithCompletionHandler:);
    REPLACE(Verb, stop, stopWithCompletionHandler:);
    REPLACE(Verb, pause, pauseWithCompletionHandler:);
    REPLACE(Verb, resume, resumeWithCompletionHandler:);
    REPLACE(VerbWithURL, save, saveMachineStateToURL:completionHandler:);
    REPLACE(VerbWithURL, restore, restoreMachineStateFromURL:completionHandler:);
    REPLACE(Change, will_change, willChangeValueForKey:);
    REPLACE(Change, did_change, didChangeValueForKey:);
    REPLACE(Finish, finish, finishInState:error:telling:);
}
