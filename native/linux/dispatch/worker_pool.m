// SPDX-License-Identifier: Apache-2.0
#include "worker_pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include "atomics.h"
#include <time.h>

#include "poller_core.h"
#include "process_state.h"
#include "queue_core.h"
#include "thread.h"
#include "work.h"

#import <Foundation/NSThread.h>

enum { WORKERS_MAXIMUM = 64, IDLE_SECONDS = 5 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct work_list pending;
    unsigned workers;
    /// Of these: waiting for work, and not meant by a wake-up yet.
    unsigned idle;
    /// Wake-ups that no idle worker has taken yet.
    unsigned woken;
    /// Waiting inside dispatch, in the middle of their work.
    unsigned blocked;
    bool watched;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

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

static void start_worker(void) {
    process_state_watch();
    // Foundation takes the first thread that it learns of for the main one: that must not be a worker.
    (void)[NSThread currentThread];
    if (thread_start("applevz-worker", worker_main) != 0) {
        pthread_mutex_lock(&pool.lock);
        pool.workers--;
        bool watch = !pool.watched;
        pool.watched = true;
        pthread_mutex_unlock(&pool.lock);
        if (watch) {
            poller_watch_worker_pool();
        }
    }
}

enum reaction { REACT_NOTHING, REACT_START, REACT_WATCH };

/// Someone for the work that is waiting: an idle worker, a new one, or the watch, if all that may run do.
static enum reaction react_locked(void) {
    if (!pool.pending.head || process_is_exiting()) {
        return REACT_NOTHING;
    }
    if (pool.idle) {
        pool.idle--;
        pool.woken++;
        pthread_cond_signal(&pool.wake);
        return REACT_NOTHING;
    }
    if (pool.workers < WORKERS_MAXIMUM && pool.workers - pool.blocked < worker_pool_processors()) {
        pool.workers++;
        return REACT_START;
    }
    if (!pool.watched) {
        pool.watched = true;
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
    static unsigned long progress_at_last_tick;
    unsigned long now = atomic_load_explicit(&progress, memory_order_relaxed);
    pthread_mutex_lock(&pool.lock);
    pool.watched = pool.pending.head != NULL;
    bool start = pool.watched && now == progress_at_last_tick && pool.idle + pool.woken == 0 &&
                 pool.workers < WORKERS_MAXIMUM && !process_is_exiting();
    pool.workers += start;
    bool watched = pool.watched;
    pthread_mutex_unlock(&pool.lock);
    progress_at_last_tick = now;
    if (start) {
        start_worker();
    }
    return watched;
}

/// The next work item; NULL for a worker that has been idle for long, which is no longer counted then.
static struct work *next_work(void) {
    pthread_mutex_lock(&pool.lock);
    struct work *work;
    while (!(work = work_list_take(&pool.pending))) {
        struct timespec deadline;
        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += IDLE_SECONDS;
        pool.idle++;
        int error = 0;
        while (pool.woken == 0 && error != ETIMEDOUT) {
            error = pthread_cond_clockwait(&pool.wake, &pool.lock, CLOCK_MONOTONIC, &deadline);
        }
        if (pool.woken == 0) {
            pool.idle--;
            pool.workers--;
            break;
        }
        pool.woken--;
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
        if (process_is_exiting()) {
            process_exit_park();
        }
        if (work->flags & WORK_TOKEN) {
            queue_take_turn(work);
        } else {
            work_perform(work);
        }
        worker_pool_count_progress();
        // The block forked and returned here: no other thread is left, so that the end of this one ends the process.
        if (process_is_inherited()) {
            return;
        }
    }
}
