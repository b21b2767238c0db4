// SPDX-License-Identifier: Apache-2.0
// Run loops: blocks that they are given, common modes, and CoreFoundation's way to run them. Checks.
#import <Foundation/Foundation.h>
#include "check.h"
#include <mach/mach_time.h>

static void checkBlocks(void) {
    NSMutableArray *order = [NSMutableArray array];
    for (int i = 0; i < 50; i++)
        [NSRunLoop.currentRunLoop performBlock:^{
            [order addObject:@(i)];
        }];
    CHECK(order.count == 0);
    [NSRunLoop.currentRunLoop performInModes:@[ @"another mode" ]
                                       block:^{
                                           [order addObject:@"another mode"];
                                       }];
    [NSRunLoop.mainRunLoop performInModes:@[ NSRunLoopCommonModes, NSDefaultRunLoopMode ]
                                    block:^{
                                        CHECK(NSThread.isMainThread);
                                        [order addObject:@50];
                                    }];
    while (order.count < 51)
        CHECK(CFRunLoopRunInMode(kCFRunLoopDefaultMode, 0, false) == kCFRunLoopRunTimedOut);
    for (int i = 0; i < 51; i++)
        CHECK([order[(NSUInteger)i] intValue] == i);
    [NSRunLoop.currentRunLoop runMode:@"another mode" beforeDate:[NSDate dateWithTimeIntervalSinceNow:0.01]];
    CHECK([order.lastObject isEqual:@"another mode"] && order.count == 52);

    // From other threads to this one, and from this one to another's.
    dispatch_async(dispatch_get_global_queue(0, 0), ^{
        [NSRunLoop.mainRunLoop performBlock:^{
            CHECK(NSThread.isMainThread);
            CFRunLoopStop(CFRunLoopGetMain());
        }];
    });
    CHECK(CFRunLoopRunInMode(kCFRunLoopDefaultMode, 20, false) == kCFRunLoopRunStopped);
    dispatch_semaphore_t ready = dispatch_semaphore_create(0), called = dispatch_semaphore_create(0);
    __block NSRunLoop *loop = nil;
    __block CFRunLoopRef reference = NULL;
    __block BOOL ended = NO;
    NSThread *thread = [[NSThread alloc] initWithBlock:^{
        @autoreleasepool {
            loop = NSRunLoop.currentRunLoop;
            reference = CFRunLoopGetCurrent();
            dispatch_semaphore_signal(ready);
            CFRunLoopRun();
        }
        ended = YES;
        dispatch_semaphore_signal(ready);
    }];
    [thread start];
    dispatch_semaphore_wait(ready, DISPATCH_TIME_FOREVER);
    [loop performBlock:^{
        CHECK(NSThread.currentThread == thread);
        dispatch_semaphore_signal(called);
    }];
    CHECK(dispatch_semaphore_wait(called, dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_SEC)) == 0);
    CFRunLoopPerformBlock(reference, kCFRunLoopCommonModes, ^{
        CFRunLoopStop(CFRunLoopGetCurrent());
    });
    CFRunLoopWakeUp(reference);
    CHECK(dispatch_semaphore_wait(ready, dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_SEC)) == 0 && ended);
    while (!thread.isFinished)
        usleep(1000);
    // A run loop that nobody runs any more takes it, and that is all.
    [loop performBlock:^{
        abort();
    }];
}

static void checkCommonModes(void) {
    __block int fired = 0;
    NSTimer *timer = [NSTimer timerWithTimeInterval:0.001
                                            repeats:YES
                                              block:^(__unused NSTimer *timer) {
                                                  fired++;
                                              }];
    [NSRunLoop.mainRunLoop addTimer:timer forMode:NSRunLoopCommonModes];
    NSDate *limit = [NSDate dateWithTimeIntervalSinceNow:20];
    while (fired < 3 && limit.timeIntervalSinceNow > 0)
        CFRunLoopRunInMode(kCFRunLoopDefaultMode, 0.01, false);
    CHECK(fired >= 3);
    [timer invalidate];
}

static void checkResults(void) {
    uint64_t before = clock_gettime_nsec_np(CLOCK_UPTIME_RAW);
    CHECK(CFRunLoopRunInMode(kCFRunLoopDefaultMode, 0.05, false) == kCFRunLoopRunTimedOut);
    CHECK(clock_gettime_nsec_np(CLOCK_UPTIME_RAW) - before >= 50000000);
    __block BOOL done = NO;
    dispatch_async(dispatch_get_main_queue(), ^{
        done = YES;
    });
    SInt32 result = 0;
    while (!done)
        result = CFRunLoopRunInMode(kCFRunLoopDefaultMode, 20, true);
    CHECK(result == kCFRunLoopRunHandledSource);
    // What begins to be performed is a reason to return, too.
    done = NO;
    dispatch_async(dispatch_get_main_queue(), ^{
        done = YES;
    });
    NSDate *end = [NSDate dateWithTimeIntervalSinceNow:20];
    while (!done)
        CHECK([NSRunLoop.currentRunLoop runMode:NSDefaultRunLoopMode beforeDate:end]);
    CHECK(end.timeIntervalSinceNow > 0);
    // A thread that waits for nothing.
    dispatch_semaphore_t through = dispatch_semaphore_create(0);
    [NSThread detachNewThreadWithBlock:^{
        @autoreleasepool {
            CHECK(CFRunLoopRunInMode(kCFRunLoopDefaultMode, 1000, false) == kCFRunLoopRunFinished);
        }
        dispatch_semaphore_signal(through);
    }];
    CHECK(dispatch_semaphore_wait(through, dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_SEC)) == 0);
    CHECK(CFEqual(kCFRunLoopDefaultMode, (__bridge CFStringRef)NSDefaultRunLoopMode));
}

int main(void) {
    @autoreleasepool {
        checkBlocks();
        checkCommonModes();
        checkResults();
    }
    return VERDICT;
}
