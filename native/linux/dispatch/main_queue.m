// SPDX-License-Identifier: Apache-2.0
// The main queue: run by the main thread, from dispatch_main or from its run loop.
#include "queue_core.h"

#include <unistd.h>

#include "run_loop_turn.h"
#include "worker_pool.h"

#import <Foundation/NSArray.h>
#import <Foundation/NSRunLoop.h>
#import <Foundation/NSThread.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct work_list pending;
    /// In dispatch_main.
    bool served;
    /// The run loop was asked to call, and has not yet.
    bool requested;
    /// The run loop has called. It may be run again from within the work: that must not begin the next item.
    bool draining;
} main_queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void perform_on_main(struct work *work) {
    struct queue_frame frame;
    queue_frame_push(&frame, queue_main(), true);
    if (work->flags & WORK_TOKEN) {
        queue_take_turn(work);
    } else {
        work_perform(work);
    }
    queue_frame_pop(&frame);
}

@interface DispatchMainQueueRunLoopPerformer : NSObject
@end

@implementation DispatchMainQueueRunLoopPerformer

/// GNUstep's run loop takes what is to be performed by its own thread as it begins a turn, and then waits for what it
/// watches: what is asked for in the last moment before that, as by work that adds more, would wait with it. A timer
/// ends the wait.
+ (void)request {
    @autoreleasepool {
        if (thread_is_main())
            [self performSelector:@selector(drain)
                       withObject:nil
                       afterDelay:0
                          inModes:@[ NSDefaultRunLoopMode, NSRunLoopCommonModes ]];
        else
            [self performSelectorOnMainThread:@selector(drain) withObject:nil waitUntilDone:NO];
    }
}

/// Runs what is there now, and leaves what is added meanwhile to the next turn of the run loop, which has others to
/// serve.
+ (void)drain {
    pthread_mutex_lock(&main_queue.lock);
    main_queue.requested = false;
    if (main_queue.draining) {
        pthread_mutex_unlock(&main_queue.lock);
        return;
    }
    main_queue.draining = true;
    struct work *last = main_queue.pending.tail;
    struct work *work;
    for (bool more = true; more && (work = work_list_take(&main_queue.pending));) {
        more = work != last;
        pthread_mutex_unlock(&main_queue.lock);
        perform_on_main(work);
        if (process_is_inherited()) {
            return;
        }
        pthread_mutex_lock(&main_queue.lock);
    }
    main_queue.draining = false;
    bool request = main_queue.pending.head && !main_queue.requested;
    main_queue.requested |= request;
    pthread_mutex_unlock(&main_queue.lock);
    if (request) {
        [self request];
    }
    [DispatchRunLoopTurn end];
}

@end

void main_queue_push(struct work *work) {
    pthread_mutex_lock(&main_queue.lock);
    work_list_append(&main_queue.pending, work);
    bool request = !main_queue.served && !main_queue.draining && !main_queue.requested;
    main_queue.requested |= request;
    if (main_queue.served) {
        pthread_cond_signal(&main_queue.wake);
    }
    pthread_mutex_unlock(&main_queue.lock);
    if (request) {
        [DispatchMainQueueRunLoopPerformer request];
    }
}

struct main_call {
    struct work work;
    void *context;
    dispatch_function_t function;
    struct queue_frame *frames;
    struct thread_event done;
};

static void call_within_frames(void *argument) {
    struct main_call *call = argument;
    struct queue_frame *own = queue_frames;
    // The caller waits, so that it holds its queues for this thread: what it may not wait for, this may not either.
    queue_frames = call->frames;
    work_call(call->function, call->context);
    queue_frames = own;
    thread_event_set(&call->done);
}

void main_queue_perform_and_wait(void *context, dispatch_function_t function) {
    if (thread_is_main()) {
        dispatch_fail("dispatch_sync", "called on the main queue, or a queue that targets it, by the main thread: this "
                                       "would wait for itself for ever");
    }
    struct main_call call = {
        .work = {.function = call_within_frames, .context = &call, .flags = WORK_EMBEDDED},
        .context = context,
        .function = function,
        .frames = queue_frames,
    };
    main_queue_push(&call.work);
    worker_pool_wait_begin();
    thread_event_wait(&call.done);
    worker_pool_wait_end();
}

void dispatch_main(void) {
    if (!thread_is_main()) {
        dispatch_fail(__func__, "called by a thread other than the main one");
    }
    pthread_mutex_lock(&main_queue.lock);
    main_queue.served = true;
    for (;;) {
        struct work *work = work_list_take(&main_queue.pending);
        if (!work) {
            pthread_cond_wait(&main_queue.wake, &main_queue.lock);
            continue;
        }
        pthread_mutex_unlock(&main_queue.lock);
        perform_on_main(work);
        // The block forked and returned here, in a process that no work can reach any more.
        if (process_is_inherited()) {
            _exit(0);
        }
        pthread_mutex_lock(&main_queue.lock);
    }
}
