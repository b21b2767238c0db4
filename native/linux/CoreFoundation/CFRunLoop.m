// SPDX-License-Identifier: Apache-2.0
// A run loop runs until it is told to stop; an eventfd that it watches tells it to look.
#import <CoreFoundation/CFRunLoop.h>
#import "types.h"
#import <dispatch/descriptor.h>
#import <stdatomic.h>
#import <sys/eventfd.h>
#import <unistd.h>

/// What a CFRunLoopRef is: what can be said to a thread's run loop from any thread.
@interface CFRunLoopControl : NSObject <RunLoopEvents>
@property (readonly) NSRunLoop *loop;
- (CFRunLoopRunResult)runInMode:(NSString *)mode until:(NSDate *)date once:(BOOL)once;
- (void)stop;
- (void)wake;
@end

@implementation CFRunLoopControl {
    // -1 where none could be made: the run loop then hears of a stop when it is awake for another reason.
    int _descriptor;
    atomic_bool _stopped;
}

- (instancetype)initWithRunLoop:(NSRunLoop *)loop {
    self = [super init];
    if (self) {
        _loop = loop;
        _descriptor = descriptor_above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    }
    return self;
}

- (void)dealloc {
    if (_descriptor >= 0)
        close(_descriptor);
}

- (CFRunLoopRunResult)runInMode:(NSString *)mode until:(NSDate *)date once:(BOOL)once {
    void *watched = (void *)(intptr_t)_descriptor;
    CFRunLoopRunResult result = 0;
    atomic_store(&_stopped, false);
    if (_descriptor >= 0)
        [_loop addEvent:watched type:ET_RDESC watcher:self forMode:mode];
    while (result == 0) {
        @autoreleasepool {
            [_loop runMode:mode beforeDate:date];
            if (atomic_load(&_stopped))
                result = kCFRunLoopRunStopped;
            else if (date.timeIntervalSinceNow <= 0)
                result = kCFRunLoopRunTimedOut;
            else if (once)
                result = kCFRunLoopRunHandledSource;
        }
    }
    if (_descriptor >= 0)
        [_loop removeEvent:watched type:ET_RDESC forMode:mode all:NO];
    // An outer run of the same loop goes on.
    atomic_store(&_stopped, false);
    return result;
}

- (void)receivedEvent:(void *)data type:(RunLoopEventType)type extra:(void *)extra forMode:(NSString *)mode {
    (void)data, (void)type, (void)extra, (void)mode;
    uint64_t count;
    if (read(_descriptor, &count, sizeof count) < 0) {
        // Another turn of the loop took it.
    }
}

- (void)stop {
    atomic_store(&_stopped, true);
    [self wake];
}

- (void)wake {
    // It fails only when 2^64 wait there.
    ssize_t written = _descriptor < 0 ? 0 : write(_descriptor, &(uint64_t){1}, sizeof(uint64_t));
    (void)written;
}

@end

static CFRunLoopControl *main_control(void) {
    static CFRunLoopControl *control;
    @synchronized([CFRunLoopControl class]) {
        if (!control)
            control = [[CFRunLoopControl alloc] initWithRunLoop:NSRunLoop.mainRunLoop];
        return control;
    }
}

static CFRunLoopControl *current_control(void) {
    if (NSThread.isMainThread)
        return main_control();
    NSMutableDictionary *dictionary = NSThread.currentThread.threadDictionary;
    CFRunLoopControl *control = dictionary[@"CFRunLoopControl"];
    if (!control) {
        control = [[CFRunLoopControl alloc] initWithRunLoop:NSRunLoop.currentRunLoop];
        dictionary[@"CFRunLoopControl"] = control;
    }
    return control;
}

CFRunLoopRef CFRunLoopGetCurrent(void) {
    @autoreleasepool {
        return (__bridge CFRunLoopRef)current_control();
    }
}

CFRunLoopRef CFRunLoopGetMain(void) {
    @autoreleasepool {
        return (__bridge CFRunLoopRef)main_control();
    }
}

void CFRunLoopRun(void) {
    @autoreleasepool {
        [current_control() runInMode:NSDefaultRunLoopMode until:NSDate.distantFuture once:NO];
    }
}

CFRunLoopRunResult CFRunLoopRunInMode(CFRunLoopMode mode, CFTimeInterval seconds, Boolean returnAfterSourceHandled) {
    CFRequire(mode);
    @autoreleasepool {
        CFRunLoopControl *control = current_control();
        NSString *name = (__bridge NSString *)mode;
        if (control != main_control() && [control.loop limitDateForMode:name] == nil)
            return kCFRunLoopRunFinished;
        NSDate *end = [NSDate dateWithTimeIntervalSinceNow:seconds > 0 ? seconds : 0];
        return [control runInMode:name until:end once:returnAfterSourceHandled];
    }
}

NSRunLoop *CFRunLoopGetNSRunLoop(CFRunLoopRef runLoop) {
    return ((__bridge CFRunLoopControl *)runLoop).loop;
}

void CFRunLoopStop(CFRunLoopRef runLoop) {
    CFRequire(runLoop);
    [(__bridge CFRunLoopControl *)runLoop stop];
}

void CFRunLoopWakeUp(CFRunLoopRef runLoop) {
    CFRequire(runLoop);
    [(__bridge CFRunLoopControl *)runLoop wake];
}
