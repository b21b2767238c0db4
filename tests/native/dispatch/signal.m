// SPDX-License-Identifier: Apache-2.0
// SIGNAL sources: they hear of signals that are ignored, and of those that the program handles itself; the program's
// disposition is back when the last source is gone.
#include "dispatch_support.h"
#include <signal.h>

static volatile sig_atomic_t handled;

static void count_handled(int number) {
    (void)number;
    handled++;
}

static void (*disposition(int number))(int) {
    struct sigaction action;
    CHECK(sigaction(number, NULL, &action) == 0);
    return action.sa_handler;
}

static dispatch_source_t listen_to(int number, dispatch_semaphore_t came) {
    dispatch_source_t source =
        dispatch_source_create(DISPATCH_SOURCE_TYPE_SIGNAL, (uintptr_t)number, 0, dispatch_queue_create("ear", NULL));
    CHECK(source != nil);
    __weak dispatch_source_t weak = source;
    dispatch_source_set_event_handler(source, ^{
        for (uintptr_t i = dispatch_source_get_data(weak); i > 0; i--) {
            dispatch_semaphore_signal(came);
        }
    });
    dispatch_resume(source);
    return source;
}

static void an_ignored_signal_is_heard(void) {
    signal(SIGINT, SIG_IGN);
    dispatch_semaphore_t came = dispatch_semaphore_create(0);
    dispatch_semaphore_t also = dispatch_semaphore_create(0);
    @autoreleasepool {
        dispatch_source_t first = listen_to(SIGINT, came);
        dispatch_source_t second = listen_to(SIGINT, also);
        for (int i = 0; i < 3; i++) {
            raise(SIGINT);
        }
        for (int i = 0; i < 3; i++) {
            AWAIT(came);
            AWAIT(also);
        }
        dispatch_source_cancel(first);
        raise(SIGINT);
        AWAIT(also);
        CHECK(dispatch_semaphore_wait(came, DISPATCH_TIME_NOW) != 0);
        dispatch_source_cancel(second);
    }
}

static void the_programs_handler_is_called_too(void) {
    signal(SIGUSR1, count_handled);
    dispatch_semaphore_t came = dispatch_semaphore_create(0);
    @autoreleasepool {
        dispatch_source_t source = listen_to(SIGUSR1, came);
        raise(SIGUSR1);
        AWAIT(came);
        CHECK(handled == 1, "%d", (int)handled);
        dispatch_source_cancel(source);
    }
}

// Sources go on the queue that they were cancelled on: not at once.
static void await_disposition(int number, void (*wanted)(int)) {
    for (int i = 0; i < 3000 && disposition(number) != wanted; i++) {
        usleep(10000);
    }
    CHECK(disposition(number) == wanted);
}

static void wrong_handles_are_refused(void) {
    CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_SIGNAL, 0, 0, nil) == nil);
    CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_SIGNAL, 1000, 0, nil) == nil);
    CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_SIGNAL, SIGINT, 1, nil) == nil);
}

int main(void) {
    @autoreleasepool {
        an_ignored_signal_is_heard();
        the_programs_handler_is_called_too();
    }
    await_disposition(SIGINT, SIG_IGN);
    await_disposition(SIGUSR1, count_handled);
    @autoreleasepool {
        wrong_handles_are_refused();
        // Slots are given back: more than there are, one after the other.
        for (int i = 0; i < 200; i++) {
            dispatch_semaphore_t came = dispatch_semaphore_create(0);
            @autoreleasepool {
                dispatch_source_t source = listen_to(SIGINT, came);
                raise(SIGINT);
                AWAIT(came);
                dispatch_source_cancel(source);
            }
        }
    }
    return 0;
}
