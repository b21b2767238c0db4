// SPDX-License-Identifier: Apache-2.0
// What becomes of the threads when the process forks or ends.
#ifndef DISPATCH_PROCESS_STATE_H
#define DISPATCH_PROCESS_STATE_H

#include <stdatomic.h>
#include <stdbool.h>

extern atomic_bool dispatch_process_is_inherited;
extern atomic_bool dispatch_process_is_exiting;

/// Called before the first thread is started; idempotent.
void process_state_watch(void);

/// A forked child of a process whose threads had been started. The threads are not here, the locks may be held by
/// them for ever, and the poller's descriptors were shared with the parent: nothing may take a lock or wait.
static inline bool process_is_inherited(void) {
    return atomic_load_explicit(&dispatch_process_is_inherited, memory_order_relaxed);
}

/// Work that starts now could meet what exit() has torn down already.
static inline bool process_is_exiting(void) {
    return atomic_load_explicit(&dispatch_process_is_exiting, memory_order_relaxed);
}

/// Where our threads wait for the process to be gone.
_Noreturn void process_exit_park(void);

/// One line on standard error, then abort().
_Noreturn void dispatch_fail(const char *function, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
