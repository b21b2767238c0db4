// SPDX-License-Identifier: Apache-2.0
// A run loop runs until it is told to stop; an eventfd that it watches tells it to look.
#import <CoreFoundation/CFRunLoop.h>
#import "types.h"
#import <stdatomic.h>
#import <sys/eventfd.h>
#import <unistd.h>

/// What a CFRunLoopRef is: what can be said to a thread's run loop from any thread.
@interface CFRunLoopControl : NSObject <RunLoopEvents>
- (void)run;
- (void)stop;
- (void)wake;
@end

@implementation CFRunLoopControl {
    // -1 where none could be made: the run loop then hears of a stop when it is awake for another reason.
    int _descriptor;
    atomic_bool _stopped;
}

- (instancetype)init {
    self = [super init];
    if (self)
        _descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return self;
}

- (void)dealloc {
    if (_descriptor >= 0)
        close(_descriptor);
}

- (void)run {
    NSRunLoop *loop = NSRunLoop.currentRunLoop;
    void *watched = (void *)(intptr_t)_descriptor;
    atomic_store(&_stopped, false);
    if (_descriptor >= 0)
        [loop addEvent:watched type:ET_RDESC watcher:self forMode:NSDefaultRunLoopMode];
    while (!atomic_load(&_stopped)) {
        @autoreleasepool {
            [loop runMode:NSDefaultRunLoopMode beforeDate:NSDate.distantFuture];
        }
    }
    if (_descriptor >= 0)
        [loop removeEvent:watched type:ET_RDESC forMode:NSDefaultRunLoopMode all:NO];
    // An outer run of the same loop goes on.
    atomic_store(&_stopped, false);
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
            control = [[CFRunLoopControl alloc] init];
        return control;
    }
}

static CFRunLoopControl *current_control(void) {
    if (NSThread.isMainThread)
        return main_control();
    NSMutableDictionary *dictionary = NSThread.currentThread.threadDictionary;
    CFRunLoopControl *control = dictionary[@"CFRunLoopControl"];
    if (!control) {
        control = [[CFRunLoopControl alloc] init];
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
        [current_control() run];
    }
}

void CFRunLoopStop(CFRunLoopRef runLoop) {
    CFRequire(runLoop);
    [(__bridge CFRunLoopControl *)runLoop stop];
}

void CFRunLoopWakeUp(CFRunLoopRef runLoop) {
    CFRequire(runLoop);
    [(__bridge CFRunLoopControl *)runLoop wake];
}
