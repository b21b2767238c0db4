// SPDX-License-Identifier: Apache-2.0
// Work items, the lists they stand in, and the call into the program's code.
#ifndef DISPATCH_WORK_H
#define DISPATCH_WORK_H

#include <dispatch/base.h>
#include <stdint.h>

struct group;

enum {
    /// The context is a block on the heap, released after it ran.
    WORK_BLOCK = 1u << 0,
    /// Alone on a concurrent queue.
    WORK_BARRIER = 1u << 1,
    /// The context is a queue, whose turn on its target this is.
    WORK_TOKEN = 1u << 2,
    /// A thread in dispatch_sync waits here for its turn; nothing is run for it.
    WORK_WAITER = 1u << 3,
    /// Part of a larger structure: not freed, and not touched once its function was called.
    WORK_EMBEDDED = 1u << 4,
};

struct work {
    struct work *next;
    dispatch_function_t function;
    void *context;
    /// Entered when the work was submitted, left after it ran.
    struct group *group;
    uint32_t flags;
};

struct work_list {
    struct work *head;
    struct work *tail;
};

static inline void work_list_append(struct work_list *list, struct work *work) {
    work->next = NULL;
    if (list->head) {
        list->tail->next = work;
    } else {
        list->head = work;
    }
    list->tail = work;
}

static inline struct work *work_list_take(struct work_list *list) {
    struct work *work = list->head;
    if (work) {
        list->head = work->next;
    }
    return work;
}

struct work *work_create(void *context, dispatch_function_t function, uint32_t flags);
struct work *work_create_block(const void *block, uint32_t flags);

/// Runs and frees a work item that is not a token or a waiter, in an autorelease pool of its own.
void work_perform(struct work *work);

/// Calls the program. An exception that escapes ends the process, as it does on macOS: the frames below belong to
/// a queue whose state no unwinding may skip.
void work_call(dispatch_function_t function, void *context);

/// The function that runs a block given to it as context: its own entry, which takes the block as first argument.
dispatch_function_t work_block_function(const void *block);

#endif
