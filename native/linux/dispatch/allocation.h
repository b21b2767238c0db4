// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_ALLOCATION_H
#define DISPATCH_ALLOCATION_H

#include <stdlib.h>

#include "process_state.h"

/// None of the functions that need this can report a failure, and none could go on without: abort with a message.
static inline void *allocate_zeroed(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) {
        dispatch_fail("dispatch", "out of memory");
    }
    return memory;
}

#endif
