// SPDX-License-Identifier: Apache-2.0
#include "thread.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "allocation.h"
#include "process_state.h"

#import <Foundation/NSThread.h>

struct thread_start {
    const char *name;
    void (*body)(void);
};

/// sched_setattr's argument in its first form; C libraries do not declare it.
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/// Linux 6.12 and later run a woken thread at once in place of one that has used up the slice it asked for, which
/// otherwise is milliseconds long. What these threads do takes microseconds, and somebody waits for it. The processes
/// that they start ask for the same, by inheritance, which is meant: a virtual processor that computes then gives way
/// to whoever waits for an answer from it. Nobody gets more or less time in all. Earlier kernels ignore it.
static void ask_for_short_slice(void) {
    enum { SHORTEST = 100 * 1000 };
    struct scheduling scheduling = {.size = sizeof scheduling};
    if (syscall(SYS_sched_getattr, 0, &scheduling, sizeof scheduling, 0) == 0 && scheduling.policy == SCHED_OTHER) {
        scheduling.runtime = SHORTEST;
        syscall(SYS_sched_setattr, 0, &scheduling, 0);
    }
}

static void *thread_main(void *argument) {
    struct thread_start start = *(struct thread_start *)argument;
    free(argument);
    pthread_setname_np(pthread_self(), start.name);
    ask_for_short_slice();
    GSRegisterCurrentThread();
    start.body();
    // A block forked and returned. This is the child's only thread, and whatever it touches may be locked for ever.
    if (process_is_inherited()) {
        _exit(0);
    }
    GSUnregisterCurrentThread();
    return NULL;
}

int thread_start(const char *name, void (*body)(void)) {
    struct thread_start *start = allocate_zeroed(sizeof *start);
    *start = (struct thread_start){.name = name, .body = body};
    // Blocked before the thread exists: a signal of the host's can then at no time be delivered to it.
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, thread_main, start);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    if (error) {
        free(start);
    }
    return error;
}

pid_t thread_identifier(void) {
    return (pid_t)syscall(SYS_gettid);
}

bool thread_is_main(void) {
    return thread_identifier() == getpid();
}

void thread_futex_wait(_Atomic uint32_t *word, uint32_t expected) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void thread_futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

enum { EVENT_UNSET, EVENT_SET, EVENT_AWAITED };

void thread_event_set(struct thread_event *event) {
    // After the exchange the event may be gone: a wake-up on its address is harmless, a read would not be.
    if (atomic_exchange(&event->state, EVENT_SET) == EVENT_AWAITED) {
        thread_futex_wake(&event->state, 1);
    }
}

void thread_event_wait(struct thread_event *event) {
    uint32_t state = EVENT_UNSET;
    if (!atomic_compare_exchange_strong(&event->state, &state, EVENT_AWAITED)) {
        return;
    }
    while (atomic_load(&event->state) == EVENT_AWAITED) {
        thread_futex_wait(&event->state, EVENT_AWAITED);
    }
}
