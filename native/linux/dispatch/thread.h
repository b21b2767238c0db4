// SPDX-License-Identifier: Apache-2.0
// Threads of our own, and the wait and wake between them.
#ifndef DISPATCH_THREAD_H
#define DISPATCH_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/// A detached thread with all signals blocked, known to Foundation. 0 or an errno.
int thread_start(const char *name, void (*body)(void));

pid_t thread_identifier(void);
bool thread_is_main(void);

/// Set once, waited for by one thread. The setter touches nothing of it after the waiter can return, so that it may
/// be on the waiter's stack.
struct thread_event {
    _Atomic uint32_t state;
};
void thread_event_set(struct thread_event *event);
void thread_event_wait(struct thread_event *event);

void thread_futex_wait(_Atomic uint32_t *word, uint32_t expected);
void thread_futex_wake(_Atomic uint32_t *word, int count);

#endif
