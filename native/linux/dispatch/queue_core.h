// SPDX-License-Identifier: Apache-2.0
// How queues order work.
//
// A queue runs its work by taking turns on its target queue; at the end of that chain is the root queue, which is the
// pool of workers, or the main queue, which is the main thread. A *token* in the target's list stands for one turn.
//  - A serial queue has at most one token out; in its turn it runs several items, then lets others have theirs.
//  - A concurrent queue has one token out for each item that may run now: all up to the next barrier, or that barrier
//    when nothing else runs.
// While items run, or a token is out, `running` is not 0 and the queue holds a reference of itself for each.
// dispatch_sync puts no token anywhere: the calling thread takes `running` itself (at once, or as a waiter in the
// list, to be granted), then does the same with the target, up the chain, and runs the block where it is.
#ifndef DISPATCH_QUEUE_CORE_H
#define DISPATCH_QUEUE_CORE_H

#include <dispatch/once.h>
#include <dispatch/queue.h>
#include <pthread.h>

#include "object_core.h"
#include "thread.h"
#include "work.h"

enum queue_kind { QUEUE_ROOT, QUEUE_MAIN, QUEUE_SERIAL, QUEUE_CONCURRENT };

struct queue_specific {
    struct queue_specific *next;
    const void *key;
    void *value;
    dispatch_function_t destructor;
};

struct queue {
    struct object object;
    enum queue_kind kind;
    char *label;
    pthread_mutex_t lock;
    /// Changed only while nothing runs here and no token is out; NULL for the root and the main queue.
    struct queue *_Atomic target;
    struct work_list pending;
    /// Concurrent: items that a token was sent for and that no thread has taken yet.
    struct work_list begun;
    struct work token;
    unsigned running;
    bool exclusive;
    bool inactive;
    /// The poller may run work here where nothing else does.
    atomic_bool served_by_poller;
    unsigned suspended;
    struct queue_specific *specifics;
};

/// The pool of workers, and the main thread.
struct queue *queue_root(void);
struct queue *queue_main(void);

void queue_push(struct queue *queue, struct work *work);
void queue_async_function(struct queue *queue, void *context, dispatch_function_t function, uint32_t flags);
/// `block` is copied.
void queue_async_block(struct queue *queue, const void *block, uint32_t flags, struct group *group);
void queue_sync(struct queue *queue, void *context, dispatch_function_t function, bool barrier);

/// Runs the work here and now, if the queue is free and the root its target; otherwise does nothing, and gives false.
bool queue_run_if_free(struct queue *queue, struct work *work);

/// A turn, on the thread that took the token from the target's list.
void queue_take_turn(struct work *token);

/// What may begin now: a list of waiters to grant, and a number of tokens to send to the target. Made under the lock,
/// carried out after it.
struct queue_advance {
    struct work_list granted;
    unsigned tokens;
};
struct queue_advance queue_advance_locked(struct queue *queue);
void queue_advance_perform(struct queue *queue, struct queue_advance advance);
bool queue_may_begin_locked(struct queue *queue, bool barrier);
void queue_begin_locked(struct queue *queue, bool barrier);
/// Ends what queue_begin_locked began, and drops its reference.
void queue_complete(struct queue *queue);

void queue_suspend(struct object *object);
void queue_resume(struct object *object);
void queue_activate(struct object *object);
void queue_set_target(struct object *object, struct queue *target);

/// A thread that waits for its turn in dispatch_sync.
struct queue_waiter {
    struct work work;
    struct thread_event event;
};

/// The queues that a thread is running on, innermost first; on the stack of the calls that entered them.
struct queue_frame {
    struct queue_frame *outer;
    struct queue *queue;
    bool exclusive;
};
extern _Thread_local struct queue_frame *queue_frames;

static inline void queue_frame_push(struct queue_frame *frame, struct queue *queue, bool exclusive) {
    *frame = (struct queue_frame){.outer = queue_frames, .queue = queue, .exclusive = exclusive};
    queue_frames = frame;
}

static inline void queue_frame_pop(struct queue_frame *frame) {
    queue_frames = frame->outer;
}

/// The innermost frame of this queue, or NULL.
struct queue_frame *queue_frame_find(struct queue *queue);
/// The queue that the caller is running on; the main queue on the main thread, NULL on other threads.
struct queue *queue_current(void);

/// The main queue's list.
void main_queue_push(struct work *work);
/// Runs the function on the main thread, in its turn, as if within the frames of the caller, and waits.
void main_queue_perform_and_wait(void *context, dispatch_function_t function);

#endif
