// SPDX-License-Identifier: Apache-2.0
#include "work.h"

#include <Block.h>
#include <stdio.h>

#include "allocation.h"
#include "group_core.h"
#include "process_state.h"

#import <Foundation/NSArray.h>
#import <Foundation/NSException.h>
#import <Foundation/NSString.h>

/// The beginning of every block, fixed by the compiler's block ABI.
struct block_layout {
    void *isa;
    int32_t flags;
    int32_t reserved;
    void (*invoke)(void *block);
};

dispatch_function_t work_block_function(const void *block) {
    return ((const struct block_layout *)block)->invoke;
}

struct work *work_create(void *context, dispatch_function_t function, uint32_t flags) {
    struct work *work = allocate_zeroed(sizeof *work);
    *work = (struct work){.function = function, .context = context, .flags = flags};
    return work;
}

struct work *work_create_block(const void *block, uint32_t flags) {
    return work_create(_Block_copy(block), work_block_function(block), flags | WORK_BLOCK);
}

void work_perform(struct work *work) {
    if (work->flags & WORK_EMBEDDED) {
        @autoreleasepool {
            work_call(work->function, work->context);
        }
        return;
    }
    @autoreleasepool {
        work_call(work->function, work->context);
        // What the block captured goes here, on the queue, and what that autoreleases goes with it.
        if (work->flags & WORK_BLOCK) {
            _Block_release(work->context);
        }
    }
    if (work->group) {
        group_leave(work->group);
        object_release(work->group);
    }
    free(work);
}

static _Noreturn void fail_for_exception(id thrown) {
    NSUncaughtExceptionHandler *handler = NSGetUncaughtExceptionHandler();
    if (![thrown isKindOfClass:[NSException class]]) {
        dispatch_fail("dispatch", "an exception escaped a block on a dispatch queue: %s",
                      [[thrown description] UTF8String] ?: "(nil)");
    }
    NSException *exception = thrown;
    fprintf(stderr, "dispatch: an exception escaped a block on a dispatch queue: %s: %s\n",
            [[exception name] UTF8String], [[exception reason] UTF8String] ?: "(no reason)");
    for (NSString *symbol in [exception callStackSymbols]) {
        fprintf(stderr, "    %s\n", [symbol UTF8String]);
    }
    fflush(stderr);
    if (handler) {
        handler(exception);
    }
    abort();
}

void work_call(dispatch_function_t function, void *context) {
    @try {
        function(context);
    } @catch (id thrown) {
        fail_for_exception(thrown);
    }
}
