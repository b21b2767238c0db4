// SPDX-License-Identifier: Apache-2.0
#include "process_state.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sources/poller_core.h"

#include <dispatch/poller.h>

atomic_bool dispatch_process_is_inherited;
atomic_bool dispatch_process_is_exiting;

static void forked_child(void) {
    atomic_store(&dispatch_process_is_inherited, true);
    poller_forget_descriptors();
}

static void exiting(void) {
    atomic_store(&dispatch_process_is_exiting, true);
}

static void watch(void) {
    pthread_atfork(NULL, NULL, forked_child);
    // Handlers run in reverse: this one before those registered, and before what was constructed, earlier.
    atexit(exiting);
}

void process_state_watch(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
}

void process_exit_park(void) {
    for (;;) {
        pause();
    }
}

bool dispatch_poller_inherited(void) {
    return process_is_inherited();
}

void dispatch_fail(const char *function, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: %s\n", function, text);
    fflush(stderr);
    abort();
}
