// SPDX-License-Identifier: Apache-2.0
// What the kinds of sources wait for.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../descriptor.h"
#include "source_core.h"

static void descriptor_ready(void *owner) {
    source_event(owner);
}

static int watch_arm(struct source *source) {
    return poller_watch_arm(&source->watch);
}

static void watch_disarm(struct source *source) {
    poller_watch_remove(&source->watch);
}

static int descriptor_prepare(struct source *source, uint32_t events) {
    if (source->handle > INT_MAX || fcntl((int)source->handle, F_GETFD) < 0) {
        return EBADF;
    }
    if (source->mask) {
        return EINVAL;
    }
    source->watch.descriptor = (int)source->handle;
    source->watch.events = events;
    source->watch.ready = descriptor_ready;
    return dispatch_poller_start();
}

/// The event may be old: somebody else may have read what there was, and a handler that reads would block.
static bool still_ready(struct source *source) {
    struct pollfd now = {.fd = source->watch.descriptor, .events = (short)source->watch.events};
    return poll(&now, 1, 0) != 0;
}

static int read_prepare(struct source *source) {
    return descriptor_prepare(source, EPOLLIN | EPOLLRDHUP);
}

static bool read_take(struct source *source, uintptr_t *data) {
    if (!still_ready(source)) {
        return false;
    }
    int descriptor = source->watch.descriptor;
    struct stat status;
    int count;
    if (source->watch.always_ready && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
        off_t position = lseek(descriptor, 0, SEEK_CUR);
        *data = status.st_size > position ? (uintptr_t)(status.st_size - position) : 0;
    } else if (ioctl(descriptor, FIONREAD, &count) == 0) {
        *data = (uintptr_t)count;
    } else {
        // A socket that listens, an eventfd: something is there, and its size means nothing.
        *data = 1;
    }
    return true;
}

static int write_prepare(struct source *source) {
    return descriptor_prepare(source, EPOLLOUT);
}

static bool write_take(struct source *source, uintptr_t *data) {
    if (!still_ready(source)) {
        return false;
    }
    int descriptor = source->watch.descriptor;
    int size;
    int queued;
    socklen_t length = sizeof size;
    *data = 1;
    if (getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, &length) == 0 &&
        ioctl(descriptor, SIOCOUTQ, &queued) == 0 && queued < size) {
        *data = (uintptr_t)(size - queued);
    } else if ((size = fcntl(descriptor, F_GETPIPE_SZ)) > 0 && ioctl(descriptor, FIONREAD, &queued) == 0 &&
               queued < size) {
        *data = (uintptr_t)(size - queued);
    }
    return true;
}

static int process_prepare(struct source *source) {
    if (source->mask != DISPATCH_PROC_EXIT) {
        return EINVAL;
    }
    if (source->handle == 0 || source->handle > INT_MAX) {
        return ESRCH;
    }
    source->watch.events = EPOLLIN;
    source->watch.ready = descriptor_ready;
    // Now, not at activation: the number may belong to another process then. pidfd_open sets close-on-exec.
    source->watch.descriptor = descriptor_above_standard((int)syscall(SYS_pidfd_open, (pid_t)source->handle, 0));
    if (source->watch.descriptor < 0 && errno != ESRCH) {
        return errno;
    }
    source->process_descriptor = source->watch.descriptor;
    return dispatch_poller_start();
}

static int process_arm(struct source *source) {
    if (source->process_exited) {
        return 0;
    }
    // Gone already when the source was made.
    if (source->process_descriptor < 0) {
        source->pending = true;
        return 0;
    }
    return poller_watch_arm(&source->watch);
}

static bool process_take(struct source *source, uintptr_t *data) {
    source->process_exited = true;
    *data = DISPATCH_PROC_EXIT;
    return true;
}

static void process_dispose(struct source *source) {
    if (source->process_descriptor >= 0) {
        close(source->process_descriptor);
    }
}

static void timer_prepare_to_fire(struct timer *timer) {
    object_retain(timer->owner);
}

static void timer_fire(struct timer *timer) {
    struct source *source = timer->owner;
    source_event(source);
    object_release(source);
}

static int timer_prepare(struct source *source) {
    if (source->mask & ~(uintptr_t)DISPATCH_TIMER_STRICT || source->handle) {
        return EINVAL;
    }
    source->timer = (struct timer){.owner = source, .prepare = timer_prepare_to_fire, .fire = timer_fire};
    source->next_fire = UINT64_MAX;
    return dispatch_poller_start();
}

static int timer_arm(struct source *source) {
    poller_timer_remove(&source->timer);
    if (source->next_fire != UINT64_MAX) {
        source->timer.clock = source->clock;
        source->timer.deadline = source->next_fire;
        poller_timer_arm(&source->timer);
    }
    return 0;
}

static void timer_disarm(struct source *source) {
    poller_timer_remove(&source->timer);
}

static bool timer_take(struct source *source, uintptr_t *data) {
    uint64_t now = timer_clock_now(source->clock);
    // Set anew since the event.
    if (source->next_fire > now) {
        return false;
    }
    if (source->interval == DISPATCH_TIME_FOREVER) {
        *data = 1;
        source->next_fire = UINT64_MAX;
        return true;
    }
    uint64_t count = (now - source->next_fire) / source->interval + 1;
    *data = count;
    if (__builtin_add_overflow(source->next_fire, count * source->interval, &source->next_fire)) {
        source->next_fire = UINT64_MAX;
    }
    return true;
}

void dispatch_source_set_timer(dispatch_source_t object, dispatch_time_t start, uint64_t interval, uint64_t leeway) {
    (void)leeway;
    struct source *source = CORE(object);
    if (source->type != DISPATCH_SOURCE_TYPE_TIMER) {
        dispatch_fail(__func__, "the source is not a timer");
    }
    if (process_is_inherited()) {
        return;
    }
    pthread_mutex_lock(&source->lock);
    if (!timer_clock_split(start, &source->clock, &source->next_fire)) {
        source->next_fire = UINT64_MAX;
    }
    source->interval = interval ?: 1;
    source->pending = false;
    if (source->active) {
        source_arm_locked(source);
    }
    pthread_mutex_unlock(&source->lock);
}

static int data_prepare(struct source *source) {
    return source->handle || source->mask ? EINVAL : 0;
}

static bool data_take(struct source *source, uintptr_t *data) {
    *data = source->merged;
    source->merged = 0;
    return *data != 0;
}

void dispatch_source_merge_data(dispatch_source_t object, uintptr_t value) {
    struct source *source = CORE(object);
    if (source->type != DISPATCH_SOURCE_TYPE_DATA_ADD && source->type != DISPATCH_SOURCE_TYPE_DATA_OR) {
        dispatch_fail(__func__, "the source takes no data: it is neither DATA_ADD nor DATA_OR");
    }
    if (value == 0 || process_is_inherited()) {
        return;
    }
    pthread_mutex_lock(&source->lock);
    source->merged = source->type == DISPATCH_SOURCE_TYPE_DATA_ADD ? source->merged + value : source->merged | value;
    pthread_mutex_unlock(&source->lock);
    source_event(source);
}

const struct dispatch_source_type_s _dispatch_source_type_read = {
    .prepare = read_prepare,
    .arm = watch_arm,
    .disarm = watch_disarm,
    .take = read_take,
};
const struct dispatch_source_type_s _dispatch_source_type_write = {
    .prepare = write_prepare,
    .arm = watch_arm,
    .disarm = watch_disarm,
    .take = write_take,
};
const struct dispatch_source_type_s _dispatch_source_type_proc = {
    .prepare = process_prepare,
    .arm = process_arm,
    .disarm = watch_disarm,
    .take = process_take,
    .dispose = process_dispose,
};
const struct dispatch_source_type_s _dispatch_source_type_timer = {
    .prepare = timer_prepare,
    .arm = timer_arm,
    .disarm = timer_disarm,
    .take = timer_take,
};
const struct dispatch_source_type_s _dispatch_source_type_data_add = {.prepare = data_prepare, .take = data_take};
const struct dispatch_source_type_s _dispatch_source_type_data_or = {.prepare = data_prepare, .take = data_take};
