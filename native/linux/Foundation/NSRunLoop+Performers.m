// SPDX-License-Identifier: Apache-2.0
// Two things that GNUstep's run loops do otherwise than macOS':
// - NSRunLoopCommonModes is a mode of its own to them, in which nobody ever runs a run loop. Of the common modes they
// have the
//   default one: what is given for all of them is given for that.
// - what was to be performed when a run loop begins to run is no reason for it to return, as anything handled is:
//   `while (!done) [loop runMode:mode beforeDate:distantFuture]` would wait for ever where that set `done`.
#import <Foundation/Foundation.h>
#import <dispatch/run_loop_turn.h>
#import <objc/runtime.h>

static void (*add_timer)(NSRunLoop *, SEL, NSTimer *, NSString *);
static void (*perform)(NSRunLoop *, SEL, SEL, id, id, NSUInteger, NSArray *);

static NSString *real(NSString *mode) {
    return [mode isEqual:NSRunLoopCommonModes] ? NSDefaultRunLoopMode : mode;
}

static void add_timer_in_mode(NSRunLoop *self, SEL selector, NSTimer *timer, NSString *mode) {
    add_timer(self, selector, timer, real(mode));
}

static void perform_in_modes(NSRunLoop *self, SEL selector, SEL performed, id target, id argument, NSUInteger order,
                             NSArray *modes) {
    if ([modes containsObject:NSRunLoopCommonModes]) {
        NSMutableOrderedSet *set = [NSMutableOrderedSet orderedSet];
        for (NSString *mode in modes)
            [set addObject:real(mode)];
        modes = set.array;
    }
    perform(self, selector, performed, target, argument, order, modes);
    perform(self, selector, @selector(end), [DispatchRunLoopTurn class], nil, order, modes);
}

// Without a message, and without a selector that this file's module brings: it may not be registered yet.
static IMP replace(const char *name, IMP implementation) {
    Class class = objc_getRequiredClass("NSRunLoop");
    SEL selector = sel_registerName(name);
    Method method = class_getInstanceMethod(class, selector);
    return class_replaceMethod(class, selector, implementation, method_getTypeEncoding(method));
}

__attribute__((constructor)) static void take_over(void) {
    *(IMP *)&add_timer = replace("addTimer:forMode:", (IMP)(void (*)(void))add_timer_in_mode);
    *(IMP *)&perform = replace("performSelector:target:argument:order:modes:", (IMP)(void (*)(void))perform_in_modes);
}
