// SPDX-License-Identifier: Apache-2.0
// PROC sources announce the end of a process once, whoever reaps it; DATA sources merge what they are given.
#include "dispatch_support.h"
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static pid_t spawn(const char *script) {
    pid_t child;
    char *arguments[] = {"sh", "-c", (char *)script, NULL};
    CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0);
    return child;
}

static void await_exit_of(pid_t child, void (^activated)(void)) {
    dispatch_semaphore_t ended = dispatch_semaphore_create(0);
    dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_PROC, (uintptr_t)child, DISPATCH_PROC_EXIT,
                                                      dispatch_queue_create("exit", NULL));
    CHECK(source != nil, "%s", strerror(errno));
    __weak dispatch_source_t weak = source;
    dispatch_source_set_event_handler(source, ^{
        CHECK(dispatch_source_get_data(weak) == DISPATCH_PROC_EXIT);
        CHECK(dispatch_source_get_handle(weak) == (uintptr_t)child);
        dispatch_semaphore_signal(ended);
    });
    dispatch_activate(source);
    activated();
    AWAIT(ended);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(ended, DISPATCH_TIME_NOW) != 0, "told twice");
    dispatch_source_cancel(source);
}

static void the_end_of_a_process_is_told(void) {
    pid_t child = spawn("read line");
    await_exit_of(child, ^{
        kill(child, SIGKILL);
    });
    // The zombie is there and ended; reaped, it is not even there.
    await_exit_of(child, ^{
                  });
    CHECK(waitpid(child, NULL, 0) == child, "the source reaped a child that is not its own");
    await_exit_of(child, ^{
                  });
}

static void what_is_no_process_is_refused(void) {
    CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_PROC, 0, DISPATCH_PROC_EXIT, nil) == nil);
    CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_PROC, (uintptr_t)getpid(), 0, nil) == nil && errno == EINVAL);
}

static void data_is_merged(dispatch_source_type_t type, uintptr_t expected) {
    dispatch_queue_t queue = dispatch_queue_create("data", NULL);
    dispatch_semaphore_t called = dispatch_semaphore_create(0);
    dispatch_source_t source = dispatch_source_create(type, 0, 0, queue);
    __weak dispatch_source_t weak = source;
    __block uintptr_t merged = 0;
    dispatch_source_set_event_handler(source, ^{
        merged = dispatch_source_get_data(weak);
        dispatch_semaphore_signal(called);
    });
    dispatch_resume(source);
    dispatch_source_merge_data(source, 0);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(called, DISPATCH_TIME_NOW) != 0, "zero is nothing");
    // The queue is busy while the three come in.
    dispatch_sync(queue, ^{
        dispatch_source_merge_data(source, 5);
        dispatch_source_merge_data(source, 6);
        dispatch_source_merge_data(source, 1);
    });
    AWAIT(called);
    dispatch_sync(queue, ^{
        CHECK(merged == expected, "%lu", (unsigned long)merged);
    });
    CHECK(dispatch_semaphore_wait(called, DISPATCH_TIME_NOW) != 0);
    dispatch_source_cancel(source);
}

static void nothing_added_is_lost(void) {
    dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_DATA_ADD, 0, 0, nil);
    dispatch_semaphore_t complete = dispatch_semaphore_create(0);
    __weak dispatch_source_t weak = source;
    __block uintptr_t sum = 0;
    dispatch_source_set_event_handler(source, ^{
        sum += dispatch_source_get_data(weak);
        if (sum == 4 * 5000) {
            dispatch_semaphore_signal(complete);
        }
    });
    dispatch_resume(source);
    on_threads(4, ^(int thread) {
        (void)thread;
        for (int i = 0; i < 5000; i++) {
            dispatch_source_merge_data(source, 1);
        }
    });
    AWAIT(complete);
    dispatch_source_cancel(source);
}

int main(void) {
    @autoreleasepool {
        the_end_of_a_process_is_told();
        what_is_no_process_is_refused();
        data_is_merged(DISPATCH_SOURCE_TYPE_DATA_ADD, 12);
        data_is_merged(DISPATCH_SOURCE_TYPE_DATA_OR, 7);
        nothing_added_is_lost();
    }
    return 0;
}
