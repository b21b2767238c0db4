// SPDX-License-Identifier: Apache-2.0
// GNUstep hands work to a thread, not to a run loop: which thread's each run loop is has to be known.
#import "NSBlockCall.h"

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

@interface NSRunLoop (GNUstepPrivate)
+ (NSRunLoop *)_runLoopForThread:(NSThread *)thread;
@end

/// The threads by their run loops, from the first time that a thread has asked for its own until it ends.
@interface NSRunLoopThreads : NSObject
@end

static NSMapTable *threads;
static _Thread_local bool known;

@implementation NSRunLoopThreads

+ (void)initialize {
    threads = [NSMapTable mapTableWithKeyOptions:NSMapTableObjectPointerPersonality
                                    valueOptions:NSMapTableStrongMemory];
    [NSNotificationCenter.defaultCenter addObserver:self
                                           selector:@selector(threadEnds:)
                                               name:NSThreadWillExitNotification
                                             object:nil];
}

+ (void)note:(NSRunLoop *)loop {
    @synchronized(self) {
        [threads setObject:NSThread.currentThread forKey:loop];
    }
}

+ (NSThread *)threadOf:(NSRunLoop *)loop {
    @synchronized(self) {
        return [threads objectForKey:loop];
    }
}

+ (void)threadEnds:(NSNotification *)notification {
    (void)notification;
    if (!known)
        return;
    @synchronized(self) {
        [threads removeObjectForKey:[NSRunLoop _runLoopForThread:nil]];
    }
}

@end

@implementation NSRunLoop (ApplevzBlocks)

+ (NSRunLoop *)currentRunLoop {
    NSRunLoop *loop = [self _runLoopForThread:nil];
    if (!known) {
        known = true;
        [NSRunLoopThreads note:loop];
    }
    return loop;
}

- (void)performBlock:(void (^)(void))block {
    [self performInModes:@[ NSDefaultRunLoopMode ] block:block];
}

- (void)performInModes:(NSArray<NSRunLoopMode> *)modes block:(void (^)(void))block {
    // Each of the modes has it, and the first in which the run loop runs calls it.
    NSBlockCall *work = [[NSBlockCall alloc] initWithBlock:block];
    NSThread *thread = self == NSRunLoop.mainRunLoop ? NSThread.mainThread : [NSRunLoopThreads threadOf:self];
    // One whose thread has ended never runs again.
    if (thread != nil && !thread.isFinished)
        [work performSelector:@selector(call) onThread:thread withObject:nil waitUntilDone:NO modes:modes];
}

@end
