// SPDX-License-Identifier: Apache-2.0
#include "wake_pipe.h"
#include "boundary/descriptors.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { POOL_LIMIT = 16, BLIND_SLEEP_MILLISECONDS = 20, LONGEST_SLEEP_SECONDS = 86400 };

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static applevz_wake_pipe *pool;
static int pool_size;

/// The descriptors are set close-on-exec after they were made, the way that every system has. A process that another
/// thread starts in between inherits a pipe that nobody's end depends on.
bool applevz_wake_pipe_open(int descriptors[2]) {
    if (pipe(descriptors) != 0)
        return false;
    int number = 0;
    for (int i = 0; i < 2; i++) {
        descriptors[i] = applevz_descriptor_above_standard(descriptors[i]);
        number = descriptors[i] < 0 ? errno : number;
        fcntl(descriptors[i], F_SETFL, O_NONBLOCK);
    }
    if (number == 0)
        return true;
    for (int i = 0; i < 2; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    errno = number;
    return false;
}

static applevz_wake_pipe *wake_pipe_create(void) {
    applevz_wake_pipe *wake_pipe = calloc(1, sizeof *wake_pipe);
    if (wake_pipe == NULL)
        abort();
    int descriptors[2];
    if (applevz_wake_pipe_open(descriptors)) {
        wake_pipe->reading = descriptors[0];
        wake_pipe->writing = descriptors[1];
    } else {
        wake_pipe->reading = wake_pipe->writing = -1;
    }
    return wake_pipe;
}

applevz_wake_pipe *applevz_wake_pipe_take(void) {
    pthread_mutex_lock(&pool_lock);
    applevz_wake_pipe *wake_pipe = pool;
    if (wake_pipe != NULL) {
        pool = wake_pipe->next;
        pool_size--;
    }
    pthread_mutex_unlock(&pool_lock);
    return wake_pipe != NULL ? wake_pipe : wake_pipe_create();
}

void applevz_wake_pipe_put_back(applevz_wake_pipe *wake_pipe) {
    char discarded[64];
    while (wake_pipe->reading >= 0 && read(wake_pipe->reading, discarded, sizeof discarded) > 0)
        continue;
    pthread_mutex_lock(&pool_lock);
    bool kept = wake_pipe->reading >= 0 && pool_size < POOL_LIMIT;
    if (kept) {
        wake_pipe->next = pool;
        pool = wake_pipe;
        pool_size++;
    }
    pthread_mutex_unlock(&pool_lock);
    if (kept)
        return;
    if (wake_pipe->reading >= 0) {
        close(wake_pipe->reading);
        close(wake_pipe->writing);
    }
    free(wake_pipe);
}

void applevz_wake_pipe_prepare(void) {
    applevz_wake_pipe_put_back(applevz_wake_pipe_take());
}

enum applevz_wait_result applevz_wake_pipe_sleep(applevz_wake_pipe *wake_pipe, double seconds) {
    // Rounded up: a time-out is never early. A day at most in one sleep, which the caller's loop makes good.
    int milliseconds = -1;
    if (seconds >= 0)
        milliseconds = seconds < LONGEST_SLEEP_SECONDS ? (int)(seconds * 1000.0 + 0.999) : LONGEST_SLEEP_SECONDS * 1000;
    if (wake_pipe->reading < 0) {
        bool last = milliseconds >= 0 && milliseconds <= BLIND_SLEEP_MILLISECONDS;
        int result = poll(NULL, 0, last ? milliseconds : BLIND_SLEEP_MILLISECONDS);
        return result < 0 ? APPLEVZ_WAIT_INTERRUPTED : last ? APPLEVZ_WAIT_TIMED_OUT : APPLEVZ_WAIT_COMPLETED;
    }
    struct pollfd descriptor = {.fd = wake_pipe->reading, .events = POLLIN};
    int result = poll(&descriptor, 1, milliseconds);
    if (result < 0)
        return APPLEVZ_WAIT_INTERRUPTED;
    return result == 0 ? APPLEVZ_WAIT_TIMED_OUT : APPLEVZ_WAIT_COMPLETED;
}

void applevz_wake_pipe_wake(applevz_wake_pipe *wake_pipe) {
    // A full pipe is as good as a written one: the sleeper is woken by what is in it.
    while (wake_pipe->writing >= 0 && write(wake_pipe->writing, "", 1) < 0 && errno == EINTR)
        continue;
}
