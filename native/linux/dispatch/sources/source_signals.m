// SPDX-License-Identifier: Apache-2.0
// SIGNAL sources. A source hears of a signal besides whatever else the process does with it; a signal that would end
// the process still does. Here, other than with kqueue, only a handler hears of a signal: ours stands in for a
// disposition of "ignore" and before a handler of the program's, and nowhere else. So a program says signal(SIGINT,
// SIG_IGN) before it resumes the source, as it has to on a Mac to live on.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../descriptor.h"
#include "source_core.h"

enum { LISTENERS = 64 };

// What the handler reads, which may run at any time on any thread. A slot is one source's at a time. Its eventfd is
// made once and never closed: the handler may be about to write to it.
static struct {
    atomic_int signal;
    atomic_int descriptor;
} listeners[LISTENERS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous[NSIG];

static void heard(int signal, siginfo_t *information, void *context) {
    int saved = errno;
    // A forked child has the parent's eventfds.
    for (int i = 0; i < LISTENERS && !process_is_inherited(); i++) {
        if (atomic_load(&listeners[i].signal) == signal) {
            // It fails only when 2^64 signals wait there.
            ssize_t written = write(atomic_load(&listeners[i].descriptor), &(uint64_t){1}, sizeof(uint64_t));
            (void)written;
        }
    }
    errno = saved;
    const struct sigaction *theirs = &previous[signal];
    if (theirs->sa_flags & SA_SIGINFO) {
        theirs->sa_sigaction(signal, information, context);
    } else if (theirs->sa_handler != SIG_IGN && theirs->sa_handler != SIG_DFL) {
        theirs->sa_handler(signal);
    }
}

static bool is_ignored_by_default(int signal) {
    return signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT;
}

static bool is_ours(const struct sigaction *action) {
    return action->sa_flags & SA_SIGINFO && action->sa_sigaction == heard;
}

static void listen_locked(int signal) {
    struct sigaction current;
    if (sigaction(signal, NULL, &current) < 0 || is_ours(&current) ||
        (!(current.sa_flags & SA_SIGINFO) && current.sa_handler == SIG_DFL && !is_ignored_by_default(signal))) {
        return;
    }
    previous[signal] = current;
    struct sigaction ours = {.sa_sigaction = heard, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    ours.sa_mask = current.sa_mask;
    sigaction(signal, &ours, NULL);
}

static void stop_listening_locked(int signal) {
    struct sigaction current;
    if (sigaction(signal, NULL, &current) == 0 && is_ours(&current)) {
        sigaction(signal, &previous[signal], NULL);
    }
}

static void signals_ready(void *owner) {
    source_event(owner);
}

/// The slot's index, or -1 and errno.
static int take_listener_locked(int signal) {
    for (int i = 0; i < LISTENERS; i++) {
        if (atomic_load(&listeners[i].signal)) {
            continue;
        }
        uint64_t stale;
        if (!atomic_load(&listeners[i].descriptor)) {
            int descriptor = descriptor_above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
            if (descriptor < 0) {
                return -1;
            }
            atomic_store(&listeners[i].descriptor, descriptor);
        } else if (read(atomic_load(&listeners[i].descriptor), &stale, sizeof stale) < 0) {
            // There was none, as there should be.
        }
        atomic_store(&listeners[i].signal, signal);
        return i;
    }
    errno = ENFILE;
    return -1;
}

static int signal_prepare(struct source *source) {
    if (source->mask || source->handle == 0 || source->handle >= NSIG) {
        return EINVAL;
    }
    pthread_mutex_lock(&lock);
    source->listener = take_listener_locked((int)source->handle);
    int error = source->listener < 0 ? errno : 0;
    pthread_mutex_unlock(&lock);
    if (error) {
        return error;
    }
    source->watch.descriptor = atomic_load(&listeners[source->listener].descriptor);
    source->watch.events = EPOLLIN;
    source->watch.ready = signals_ready;
    return dispatch_poller_start();
}

// Each time the source waits again: the program may have said since what it does with the signal.
static int signal_arm(struct source *source) {
    pthread_mutex_lock(&lock);
    listen_locked((int)source->handle);
    pthread_mutex_unlock(&lock);
    return poller_watch_arm(&source->watch);
}

static bool signal_take(struct source *source, uintptr_t *data) {
    uint64_t count;
    if (read(source->watch.descriptor, &count, sizeof count) != sizeof count) {
        return false;
    }
    *data = (uintptr_t)count;
    return true;
}

static void signal_disarm(struct source *source) {
    poller_watch_remove(&source->watch);
}

static void signal_dispose(struct source *source) {
    int signal = (int)source->handle;
    bool last = true;
    pthread_mutex_lock(&lock);
    atomic_store(&listeners[source->listener].signal, 0);
    for (int i = 0; i < LISTENERS; i++) {
        last &= atomic_load(&listeners[i].signal) != signal;
    }
    if (last) {
        stop_listening_locked(signal);
    }
    pthread_mutex_unlock(&lock);
}

const struct dispatch_source_type_s _dispatch_source_type_signal = {
    .prepare = signal_prepare,
    .arm = signal_arm,
    .disarm = signal_disarm,
    .take = signal_take,
    .dispose = signal_dispose,
};
