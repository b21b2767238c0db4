// SPDX-License-Identifier: Apache-2.0
#include "worker_pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "sources/poller_core.h"
#include "process_state.h"
#include "queue_core.h"
#include "thread.h"
#include "work.h"

#import <Foundation/NSThread.h>

enum { WORKERS_MAXIMUM = 64, IDLE_SECONDS = 5 };

/// On the stack of a worker that waits for work. `woken` takes it off the list.
struct idle_worker {
    struct idle_worker *next;
    pthread_cond_t wake;
    bool woken;
};

static struct {
    pthread_mutex_t lock;
    struct work_list pending;
    unsigned workers;
    /// The last to become idle first, so that those that are one too many stay idle, and retire.
    struct idle_worker *idle;
    /// Of the workers: waiting inside dispatch, in the middle of their work.
    unsigned blocked;
    bool watched;
    /// What `progress` was when the poller looked last.
    unsigned long progress_seen;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_ulong progress;
static _Thread_local bool is_worker;

void worker_pool_count_progress(void) {
    atomic_fetch_add_explicit(&progress, 1, memory_order_relaxed);
}

unsigned worker_pool_processors(void) {
    static atomic_uint known;
    unsigned count = atomic_load_explicit(&known, memory_order_relaxed);
    if (count == 0) {
        cpu_set_t set;
        // Fails where the machine has more processors than the set: more than the pool would use anyway.
        count = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : WORKERS_MAXIMUM;
        atomic_store_explicit(&known, count, memory_order_relaxed);
    }
    return count;
}

static void worker_main(void);

/// For a worker that is counted already. False where the system has no thread for it.
static bool start_worker(void) {
    process_state_watch();
    // Foundation takes the first thread that it learns of for the main one: that must not be a worker.
    (void)[NSThread currentThread];
    if (thread_start("applevz-worker", worker_main) == 0) {
        return true;
    }
    pthread_mutex_lock(&pool.lock);
    pool.workers--;
    bool watch = !pool.watched;
    pool.watched = true;
    pthread_mutex_unlock(&pool.lock);
    if (watch) {
        poller_watch_worker_pool();
    }
    return false;
}

static void perform_on_worker(struct work *work) {
    if (process_is_exiting()) {
        process_exit_park();
    }
    if (work->flags & WORK_TOKEN) {
        queue_take_turn(work);
    } else {
        work_perform(work);
    }
    worker_pool_count_progress();
}

/// Where there is no worker and none can be had, the poller does what waits: else nobody would, ever.
static void work_without_workers(void) {
    struct queue_frame frame;
    queue_frame_push(&frame, queue_root(), false);
    for (;;) {
        pthread_mutex_lock(&pool.lock);
        struct work *work = pool.workers == 0 ? work_list_take(&pool.pending) : NULL;
        pthread_mutex_unlock(&pool.lock);
        if (!work) {
            break;
        }
        perform_on_worker(work);
        if (process_is_inherited()) {
            return;
        }
    }
    queue_frame_pop(&frame);
}

enum reaction { REACT_NOTHING, REACT_START, REACT_WATCH };

/// Someone for the work that is waiting: an idle worker, a new one, or the watch, if all that may run do.
static enum reaction react_locked(void) {
    if (!pool.pending.head || process_is_exiting()) {
        return REACT_NOTHING;
    }
    struct idle_worker *idle = pool.idle;
    if (idle) {
        pool.idle = idle->next;
        idle->woken = true;
        pthread_cond_signal(&idle->wake);
        return REACT_NOTHING;
    }
    if (pool.workers < WORKERS_MAXIMUM && pool.workers - pool.blocked < worker_pool_processors()) {
        pool.workers++;
        return REACT_START;
    }
    if (!pool.watched) {
        pool.watched = true;
        pool.progress_seen = atomic_load_explicit(&progress, memory_order_relaxed);
        return REACT_WATCH;
    }
    return REACT_NOTHING;
}

static void react(enum reaction reaction) {
    if (reaction == REACT_START) {
        start_worker();
    } else if (reaction == REACT_WATCH) {
        poller_watch_worker_pool();
    }
}

void worker_pool_push(struct work *work) {
    pthread_mutex_lock(&pool.lock);
    work_list_append(&pool.pending, work);
    enum reaction reaction = react_locked();
    pthread_mutex_unlock(&pool.lock);
    react(reaction);
}

void worker_pool_wait_begin(void) {
    if (is_worker) {
        pthread_mutex_lock(&pool.lock);
        pool.blocked++;
        enum reaction reaction = react_locked();
        pthread_mutex_unlock(&pool.lock);
        react(reaction);
    }
}

void worker_pool_wait_end(void) {
    if (is_worker && !process_is_inherited()) {
        pthread_mutex_lock(&pool.lock);
        pool.blocked--;
        pthread_mutex_unlock(&pool.lock);
    }
}

bool worker_pool_tick(void) {
    unsigned long now = atomic_load_explicit(&progress, memory_order_relaxed);
    pthread_mutex_lock(&pool.lock);
    bool stalled = now == pool.progress_seen;
    pool.progress_seen = now;
    bool watched = pool.watched = pool.pending.head != NULL;
    bool start = watched && stalled && !pool.idle && pool.workers < WORKERS_MAXIMUM && !process_is_exiting();
    pool.workers += start;
    pthread_mutex_unlock(&pool.lock);
    if (start && !start_worker()) {
        work_without_workers();
    }
    return watched;
}

/// Waits to be woken; false if that took too long, with the worker off the list.
static bool wait_idle_locked(void) {
    struct idle_worker self = {.next = pool.idle, .wake = PTHREAD_COND_INITIALIZER};
    pool.idle = &self;
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += IDLE_SECONDS;
    int error = 0;
    while (!self.woken && error != ETIMEDOUT) {
        error = pthread_cond_clockwait(&self.wake, &pool.lock, CLOCK_MONOTONIC, &deadline);
    }
    if (!self.woken) {
        struct idle_worker **link = &pool.idle;
        while (*link != &self) {
            link = &(*link)->next;
        }
        *link = self.next;
    }
    return self.woken;
}

/// The next work item; NULL for a worker that has been idle for long, which is no longer counted then.
static struct work *next_work(void) {
    pthread_mutex_lock(&pool.lock);
    struct work *work;
    while (!(work = work_list_take(&pool.pending))) {
        if (!wait_idle_locked()) {
            pool.workers--;
            break;
        }
    }
    pthread_mutex_unlock(&pool.lock);
    return work;
}

static void worker_main(void) {
    is_worker = true;
    struct queue_frame frame;
    queue_frame_push(&frame, queue_root(), false);
    struct work *work;
    while ((work = next_work())) {
        perform_on_worker(work);
        if (process_is_inherited()) {
            return;
        }
    }
}
