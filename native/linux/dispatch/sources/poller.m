// SPDX-License-Identifier: Apache-2.0
// The poller thread's life, its loop, timers, and calls made on it.
#include <dispatch/poller.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../descriptor.h"
#include "poller_registrations.h"
#include "../queue_core.h"
#include "../thread.h"
#include "../work.h"
#include "../worker_pool.h"

struct perform_request {
    struct perform_request *next;
    const void *block;
    struct thread_event done;
};

enum { POOL_TICK = 50 * NSEC_PER_MSEC, EVENTS_PER_CYCLE = 64 };
enum { TAG_WAKE = UINT32_MAX, TAG_TIMER = UINT32_MAX - TIMER_CLOCKS };

struct poller poller = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .epoll = -1,
    .wake = -1,
    .timers = {-1, -1},
    .last_request = &poller.requests,
};
static _Thread_local bool is_poller;

static void close_descriptor(int *descriptor) {
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
}

void poller_forget_descriptors(void) {
    close_descriptor(&poller.epoll);
    close_descriptor(&poller.wake);
    for (int clock = 0; clock < TIMER_CLOCKS; clock++) {
        close_descriptor(&poller.timers[clock]);
    }
}

static bool watch_own(int descriptor, uint32_t tag) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    return descriptor >= 0 && epoll_ctl(poller.epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

static bool open_descriptors(void) {
    poller.epoll = descriptor_above_standard(epoll_create1(EPOLL_CLOEXEC));
    poller.wake = descriptor_above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    poller.timers[TIMER_MONOTONIC] =
        descriptor_above_standard(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    poller.timers[TIMER_WALL] = descriptor_above_standard(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
    return poller.epoll >= 0 && watch_own(poller.wake, TAG_WAKE) &&
           watch_own(poller.timers[TIMER_MONOTONIC], TAG_TIMER + TIMER_MONOTONIC) &&
           watch_own(poller.timers[TIMER_WALL], TAG_TIMER + TIMER_WALL);
}

static void poller_main(void);

int dispatch_poller_start(void) {
    if (process_is_inherited()) {
        return ECANCELED;
    }
    if (atomic_load_explicit(&poller.started, memory_order_acquire)) {
        return 0;
    }
    process_state_watch();
    int error = 0;
    pthread_mutex_lock(&poller.lock);
    if (!atomic_load(&poller.started)) {
        error = open_descriptors() ? thread_start("applevz-poller", poller_main) : errno;
        if (error) {
            poller_forget_descriptors();
        } else {
            atomic_store_explicit(&poller.started, true, memory_order_release);
        }
    }
    pthread_mutex_unlock(&poller.lock);
    return error;
}

static void start_or_fail(const char *function) {
    int error = dispatch_poller_start();
    if (error) {
        dispatch_fail(function, "the poller thread or its descriptors cannot be had: %s", strerror(error));
    }
}

static void wake(void) {
    // Fails only where the counter is full: then it is awake.
    (void)!write(poller.wake, &(uint64_t){1}, sizeof(uint64_t));
}

void poller_watch_worker_pool(void) {
    // Without the poller the pool works as well, but for work that blocks where the pool does not see it.
    if (dispatch_poller_start() == 0) {
        atomic_store(&poller.watches_pool, true);
        wake();
    }
}

void dispatch_poller_perform_sync(DISPATCH_NOESCAPE dispatch_block_t block) {
    const void *context = (__bridge const void *)block;
    if (is_poller || process_is_inherited() || process_is_exiting()) {
        work_call(work_block_function(context), (void *)context);
        return;
    }
    start_or_fail(__func__);
    struct perform_request request = {.block = context};
    pthread_mutex_lock(&poller.lock);
    *poller.last_request = &request;
    poller.last_request = &request.next;
    pthread_mutex_unlock(&poller.lock);
    wake();
    // A worker that waits here is not replaced by another: what the poller performs goes one after the other, so that
    // of many workers all but one would wait beside this one. It waits for nothing that a worker would have to do.
    thread_event_wait(&request.done);
}

bool dispatch_poller_is_current(void) {
    return is_poller;
}

void dispatch_poller_serve_queue(dispatch_queue_t queue) {
    struct queue *core = CORE(queue);
    atomic_store(&core->served_by_poller, true);
}

static void perform_requests(void) {
    pthread_mutex_lock(&poller.lock);
    struct perform_request *request = poller.requests;
    poller.requests = NULL;
    poller.last_request = &poller.requests;
    pthread_mutex_unlock(&poller.lock);
    while (request) {
        // Gone once it is done.
        struct perform_request *next = request->next;
        work_call(work_block_function(request->block), (void *)request->block);
        if (process_is_inherited()) {
            return;
        }
        thread_event_set(&request->done);
        request = next;
    }
}

/// Sets the clock's descriptor to the earliest of its timers.
static void set_clock_locked(enum timer_clock clock) {
    struct timer *timer = timer_heap_earliest(&poller.heaps[clock]);
    if (timer && timer->deadline != poller.armed[clock]) {
        poller.armed[clock] = timer->deadline;
        // A zero would disarm.
        uint64_t deadline = timer->deadline ?: 1;
        struct itimerspec setting = {
            .it_value = {.tv_sec = (time_t)(deadline / NSEC_PER_SEC), .tv_nsec = (long)(deadline % NSEC_PER_SEC)}};
        timerfd_settime(poller.timers[clock], TFD_TIMER_ABSTIME, &setting, NULL);
    }
}

void poller_timer_arm(struct timer *timer) {
    start_or_fail("dispatch_after");
    pthread_mutex_lock(&poller.lock);
    timer_heap_insert(&poller.heaps[timer->clock], timer);
    set_clock_locked(timer->clock);
    pthread_mutex_unlock(&poller.lock);
}

void poller_timer_remove(struct timer *timer) {
    pthread_mutex_lock(&poller.lock);
    if (timer->position) {
        timer_heap_remove(&poller.heaps[timer->clock], timer);
    }
    pthread_mutex_unlock(&poller.lock);
}

static void fire_timers(enum timer_clock clock) {
    uint64_t expirations;
    (void)!read(poller.timers[clock], &expirations, sizeof expirations);
    // Those that become due meanwhile wait for the next cycle, so that descriptors get their turn.
    uint64_t now = timer_clock_now(clock);
    pthread_mutex_lock(&poller.lock);
    poller.armed[clock] = 0;
    struct timer *timer;
    while ((timer = timer_heap_earliest(&poller.heaps[clock])) && timer->deadline <= now) {
        timer_heap_remove(&poller.heaps[clock], timer);
        if (timer->prepare) {
            timer->prepare(timer);
        }
        pthread_mutex_unlock(&poller.lock);
        timer->fire(timer);
        pthread_mutex_lock(&poller.lock);
    }
    set_clock_locked(clock);
    pthread_mutex_unlock(&poller.lock);
}

/// `next_tick` is 0 while the pool is not watched.
static void tick_pool(uint64_t *next_tick) {
    uint64_t now = timer_clock_now(TIMER_MONOTONIC);
    if (*next_tick == 0) {
        *next_tick = now + POOL_TICK;
    } else if (now >= *next_tick) {
        // Cleared first: a request made during the tick must not be lost.
        atomic_store(&poller.watches_pool, false);
        bool again = worker_pool_tick();
        if (again) {
            atomic_store(&poller.watches_pool, true);
        }
        *next_tick = again ? now + POOL_TICK : 0;
    }
}

static int milliseconds_until(uint64_t next_tick) {
    uint64_t now = timer_clock_now(TIMER_MONOTONIC);
    return next_tick > now ? (int)((next_tick - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC) : 0;
}

static void handle(const struct epoll_event *event) {
    switch (event->data.u64) {
    case TAG_WAKE:
        (void)!read(poller.wake, &(uint64_t){0}, sizeof(uint64_t));
        break;
    case TAG_TIMER + TIMER_MONOTONIC:
        fire_timers(TIMER_MONOTONIC);
        break;
    case TAG_TIMER + TIMER_WALL:
        fire_timers(TIMER_WALL);
        break;
    default:
        poller_watch_ready(event->data.u64);
    }
}

static void poller_main(void) {
    is_poller = true;
    uint64_t next_tick = 0;
    for (;;) {
        struct epoll_event events[EVENTS_PER_CYCLE];
        int timeout = next_tick ? milliseconds_until(next_tick) : -1;
        int count = epoll_wait(poller.epoll, events, EVENTS_PER_CYCLE, timeout);
        if (process_is_exiting()) {
            process_exit_park();
        }
        @autoreleasepool {
            for (int i = 0; i < count; i++) {
                handle(&events[i]);
            }
            perform_requests();
            if (process_is_inherited()) {
                return;
            }
            if (atomic_load(&poller.watches_pool)) {
                tick_pool(&next_tick);
            }
        }
    }
}
