// SPDX-License-Identifier: Apache-2.0
// A forked child has no threads of dispatch: nothing hangs there, nothing runs, and the parent does not notice.
#include "dispatch_support.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static dispatch_queue_t busy;
static dispatch_source_t reader;
static dispatch_source_t process;
static dispatch_source_t timer;
static dispatch_semaphore_t semaphore;
static dispatch_group_t group;
static int ends[2];
static int bytes_read;
static int ticks;

static void in_the_child(void) {
    CHECK(dispatch_poller_inherited());
    dispatch_queue_t fresh = dispatch_queue_create("fresh", NULL);
    dispatch_queue_t queues[] = {busy, fresh, dispatch_get_global_queue(0, 0), dispatch_get_main_queue()};
    for (int i = 0; i < 4; i++) {
        dispatch_queue_t queue = queues[i];
        __block int ran = 0;
        dispatch_sync(queue, ^{
            dispatch_assert_queue(queue);
            ran++;
        });
        dispatch_barrier_sync(queue, ^{
            ran++;
        });
        CHECK(ran == 2, "%d", i);
        dispatch_async(queue, ^{
            CHECK(false, "asynchronous work ran in the child");
        });
        dispatch_after(DISPATCH_TIME_NOW, queue, ^{
            CHECK(false);
        });
        dispatch_group_async(group, queue, ^{
            CHECK(false);
        });
        dispatch_suspend(queue);
        dispatch_resume(queue);
    }
    __block size_t applied = 0;
    dispatch_apply(10, fresh, ^(size_t iteration) {
        applied += iteration;
    });
    CHECK(applied == 45);
    CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_FOREVER) != 0);
    dispatch_semaphore_signal(semaphore);
    CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_FOREVER) == 0);
    CHECK(dispatch_group_wait(group, DISPATCH_TIME_FOREVER) != 0);
    dispatch_group_leave(group);
    __block bool performed = false;
    dispatch_poller_perform_sync(^{
        performed = true;
    });
    CHECK(performed);
    CHECK(dispatch_poller_start() != 0);
    dispatch_source_set_event_handler(reader, ^{
        CHECK(false);
    });
    dispatch_source_set_timer(timer, DISPATCH_TIME_NOW, 1, 0);
    dispatch_source_cancel(reader);
    dispatch_source_cancel(process);
    // The last references: the parent's registrations and work must stay.
    reader = process = timer = nil;
    busy = nil;
    give_it_a_chance();
    CHECK(dispatch_thread_count() == 0, "%d threads in the child", dispatch_thread_count());
    int descriptor_count = 0;
    for (int descriptor = 3; descriptor < 64; descriptor++) {
        char path[64];
        char target[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        if (readlink(path, target, sizeof target - 1) > 0) {
            CHECK(!strstr(target, "eventpoll") && !strstr(target, "timerfd"), "%s", target);
            CHECK(!strstr(target, "eventfd"), "%s", target);
            descriptor_count++;
        }
    }
    CHECK(descriptor_count >= 2);
}

static void check_child(pid_t child, const char *what) {
    int status;
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x", what, (unsigned)status);
}

/// A child that hangs ends by this; a signal is not blocked on the thread that called fork.
static pid_t fork_with_deadline(unsigned seconds) {
    pid_t child = fork();
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
        alarm(seconds);
    }
    return child;
}

int main(void) {
    @autoreleasepool {
        CHECK(!dispatch_poller_inherited());
        // Nothing was started yet: such a child is not an heir.
        pid_t early = fork();
        if (early == 0) {
            dispatch_semaphore_t worked = dispatch_semaphore_create(0);
            dispatch_async(dispatch_get_global_queue(0, 0), ^{
                dispatch_semaphore_signal(worked);
            });
            AWAIT(worked);
            _exit(dispatch_poller_inherited() ? 1 : 0);
        }
        check_child(early, "forked before anything was started");

        CHECK(pipe2(ends, O_CLOEXEC) == 0);
        busy = dispatch_queue_create("busy", NULL);
        semaphore = dispatch_semaphore_create(0);
        group = dispatch_group_create();
        dispatch_group_enter(group);
        dispatch_semaphore_t got = dispatch_semaphore_create(0);
        reader = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)ends[0], 0, nil);
        dispatch_source_set_event_handler(reader, ^{
            char byte;
            CHECK(read(ends[0], &byte, 1) == 1);
            bytes_read++;
            dispatch_semaphore_signal(got);
        });
        dispatch_resume(reader);
        pid_t sleeper = fork();
        if (sleeper == 0) {
            // Whoever reads this program's output is not to wait for it if a check fails.
            close(STDOUT_FILENO);
            close(STDERR_FILENO);
            execl("/bin/sleep", "sleep", "60", (char *)NULL);
            _exit(127);
        }
        dispatch_semaphore_t exited = dispatch_semaphore_create(0);
        process = dispatch_source_create(DISPATCH_SOURCE_TYPE_PROC, (uintptr_t)sleeper, DISPATCH_PROC_EXIT, nil);
        dispatch_source_set_event_handler(process, ^{
            dispatch_semaphore_signal(exited);
        });
        dispatch_resume(process);
        timer = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, nil);
        dispatch_source_set_event_handler(timer, ^{
            __atomic_fetch_add(&ticks, 1, __ATOMIC_SEQ_CST);
        });
        dispatch_source_set_timer(timer, DISPATCH_TIME_NOW, NSEC_PER_MSEC, 0);
        dispatch_resume(timer);

        static long work_done;
        static bool stop;
        dispatch_async(dispatch_get_global_queue(0, 0), ^{
            while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
                dispatch_sync(busy, ^{
                    work_done++;
                });
            }
        });
        // In the middle of it, so that locks are held now and then.
        for (int i = 0; i < 10; i++) {
            pid_t child = fork_with_deadline(20);
            if (child == 0) {
                in_the_child();
                _exit(0);
            }
            check_child(child, "forked by the main thread");
            CHECK(write(ends[1], "x", 1) == 1);
            AWAIT(got);
        }
        // A block that forks: its child comes back into dispatch, and ends there.
        for (int where = 0; where < 3; where++) {
            static pid_t child;
            dispatch_block_t fork_here = ^{
                // Less than an idle worker lives.
                child = fork_with_deadline(4);
            };
            dispatch_semaphore_t forked = dispatch_semaphore_create(0);
            dispatch_block_t fork_and_tell = ^{
                fork_here();
                dispatch_semaphore_signal(forked);
            };
            pid_t self = getpid();
            if (where == 0) {
                dispatch_async(dispatch_get_global_queue(0, 0), fork_and_tell);
            } else if (where == 1) {
                dispatch_async(dispatch_queue_create("forker", NULL), fork_and_tell);
            } else {
                dispatch_poller_perform_sync(fork_and_tell);
            }
            AWAIT(forked);
            CHECK(getpid() == self);
            check_child(child, where == 2 ? "forked on the poller" : "forked on a worker");
        }
        __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
        // The parent's registrations, timers and work go on.
        int before = __atomic_load_n(&ticks, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&ticks, __ATOMIC_SEQ_CST) < before + 3) {
            usleep(1000);
        }
        kill(sleeper, SIGKILL);
        AWAIT(exited);
        waitpid(sleeper, NULL, 0);
        dispatch_sync(busy, ^{
            CHECK(work_done > 0);
        });
        CHECK(bytes_read == 10, "%d", bytes_read);
        dispatch_group_leave(group);
    }
    return 0;
}
