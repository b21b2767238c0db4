// SPDX-License-Identifier: Apache-2.0
#include <dispatch/once.h>

#include <limits.h>
#include <stdatomic.h>

#include "process_state.h"
#include "thread.h"
#include "work.h"

#undef dispatch_once
#undef dispatch_once_f

// The predicate is 0 at first, -1 (what the header's fast path looks for) when the function has returned; between, its
// low 32 bits hold the thread that runs the function, and a bit that says that others wait for it.
static const intptr_t ONCE_AWAITED = 1l << 30;

static _Atomic uint32_t *low_word(dispatch_once_t *predicate) {
    size_t index = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof *predicate / sizeof(uint32_t) - 1 : 0;
    return (_Atomic uint32_t *)predicate + index;
}

static void run(dispatch_once_t *predicate, void *context, dispatch_function_t function) {
    work_call(function, context);
    if (__atomic_exchange_n(predicate, -1, __ATOMIC_ACQ_REL) & ONCE_AWAITED) {
        thread_futex_wake(low_word(predicate), INT_MAX);
    }
}

void dispatch_once_f(dispatch_once_t *predicate, void *context, dispatch_function_t function) {
    intptr_t self = thread_identifier();
    intptr_t state = 0;
    if (__atomic_compare_exchange_n(predicate, &state, self, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        run(predicate, context, function);
        return;
    }
    while (state != -1) {
        if ((state & ~ONCE_AWAITED) == self) {
            dispatch_fail("dispatch_once", "the block called dispatch_once with its own predicate");
        }
        // The thread that was running it is not in this process.
        if (process_is_inherited()) {
            run(predicate, context, function);
            return;
        }
        if (!(state & ONCE_AWAITED) && !__atomic_compare_exchange_n(predicate, &state, state | ONCE_AWAITED, false,
                                                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            continue;
        }
        thread_futex_wait(low_word(predicate), (uint32_t)(state | ONCE_AWAITED));
        state = __atomic_load_n(predicate, __ATOMIC_ACQUIRE);
    }
}

void dispatch_once(dispatch_once_t *predicate, DISPATCH_NOESCAPE dispatch_block_t block) {
    const void *context = (__bridge const void *)block;
    dispatch_once_f(predicate, (void *)context, work_block_function(context));
}
