// SPDX-License-Identifier: Apache-2.0
// The pool of workers: few threads for much work, more when they are blocked, and none that a signal could reach.
#include "dispatch_support.h"
#include <sched.h>
#include <time.h>

static int most_threads;

static void note_threads(void) {
    int now = dispatch_thread_count();
    int most = __atomic_load_n(&most_threads, __ATOMIC_SEQ_CST);
    while (now > most &&
           !__atomic_compare_exchange_n(&most_threads, &most, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
}

static void busy_queues_share_the_processors(void) {
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    dispatch_group_t group = dispatch_group_create();
    for (int i = 0; i < 200; i++) {
        dispatch_queue_t queue = dispatch_queue_create("busy", NULL);
        for (int item = 0; item < 5; item++) {
            dispatch_group_async(group, queue, ^{
                struct timespec start;
                struct timespec now;
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
                do {
                    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
                } while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec < 200000);
                note_threads();
            });
        }
    }
    CHECK(dispatch_group_wait(group, PATIENCE) == 0);
    // A few more are forgiven: on a loaded machine 50 ms can pass without progress.
    CHECK(most_threads <= 1 + CPU_COUNT(&set) + 2, "%d threads for %d processors", most_threads, CPU_COUNT(&set));
}

/// The poller adds a worker every 50 ms when nothing moves. While it runs the body it does not: whatever the pool does
/// then, it does because it knows that its workers wait.
static void without_the_watch(void (^body)(void)) {
    dispatch_poller_perform_sync(body);
}

static void blocked_workers_are_made_up_for(void) {
    enum { DEPTH = 40 };
    dispatch_semaphore_t begun = dispatch_semaphore_create(0);
    dispatch_semaphore_t released = dispatch_semaphore_create(0);
    dispatch_group_t group = dispatch_group_create();
    for (int i = 0; i < DEPTH; i++) {
        dispatch_group_async(group, dispatch_get_global_queue(0, 0), ^{
            dispatch_semaphore_signal(begun);
            AWAIT(released);
        });
    }
    without_the_watch(^{
        for (int i = 0; i < DEPTH; i++) {
            AWAIT(begun);
        }
    });
    for (int i = 0; i < DEPTH; i++) {
        dispatch_semaphore_signal(released);
    }
    CHECK(dispatch_group_wait(group, PATIENCE) == 0);
}

/// Each queue's item waits, in dispatch_sync, for the next queue's.
static void descend(dispatch_queue_t previous, int depth, dispatch_semaphore_t bottom) {
    if (depth == 0) {
        dispatch_semaphore_signal(bottom);
        return;
    }
    dispatch_queue_t queue = dispatch_queue_create("deep", NULL);
    dispatch_semaphore_t entered = dispatch_semaphore_create(0);
    dispatch_async(queue, ^{
        dispatch_semaphore_signal(entered);
        descend(queue, depth - 1, bottom);
    });
    AWAIT(entered);
    dispatch_sync(queue, ^{
        dispatch_assert_queue(queue);
        if (previous) {
            dispatch_assert_queue(previous);
        }
    });
}

static void workers_blocked_elsewhere_are_noticed(void) {
    enum { BLOCKED = 6 };
    struct descriptors ends = new_pipe(O_CLOEXEC);
    dispatch_group_t group = dispatch_group_create();
    for (int i = 0; i < BLOCKED; i++) {
        dispatch_group_async(group, dispatch_get_global_queue(0, 0), ^{
            char byte;
            CHECK(read(ends.first, &byte, 1) == 1);
        });
    }
    dispatch_semaphore_t reached = dispatch_semaphore_create(0);
    dispatch_async(dispatch_get_global_queue(0, 0), ^{
        CHECK(write(ends.second, "123456", BLOCKED) == BLOCKED);
        dispatch_semaphore_signal(reached);
    });
    AWAIT(reached);
    CHECK(dispatch_group_wait(group, PATIENCE) == 0);
    close(ends.first);
    close(ends.second);
}

static void threads_are_named_and_deaf(void) {
    int ours = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300];
        char name[64] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!status) {
            continue;
        }
        char line[256];
        unsigned long long blocked = 0;
        while (fgets(line, sizeof line, status)) {
            sscanf(line, "Name: %63s", name);
            sscanf(line, "SigBlk: %llx", &blocked);
        }
        fclose(status);
        if (strncmp(name, "applevz-", 8) == 0) {
            ours++;
            // All 64, but SIGKILL and SIGSTOP, which nobody blocks, and the two that the C library keeps.
            unsigned long long expected = ~(1ull << 8 | 1ull << 18 | 3ull << 31);
            CHECK((blocked & expected) == expected, "%s blocks %llx", name, blocked);
        }
    }
    closedir(tasks);
    CHECK(ours >= 2, "%d", ours);
}

static void idle_workers_retire(void) {
    for (int i = 0; i < 300 && dispatch_thread_count() > 1; i++) {
        usleep(100000);
    }
    CHECK(dispatch_thread_count() <= 1, "%d threads", dispatch_thread_count());
}

int main(int argc, char **argv) {
    @autoreleasepool {
        busy_queues_share_the_processors();
        // Before there are idle workers, which would hide that none is added.
        workers_blocked_elsewhere_are_noticed();
        blocked_workers_are_made_up_for();
        dispatch_semaphore_t bottom = dispatch_semaphore_create(0);
        dispatch_async(dispatch_get_global_queue(0, 0), ^{
            descend(nil, 30, bottom);
        });
        without_the_watch(^{
            AWAIT(bottom);
        });
        threads_are_named_and_deaf();
        CHECK(dispatch_thread_count() <= 1 + 64, "%d threads", dispatch_thread_count());
        if (argc > 1 && strcmp(argv[1], "retire") == 0) {
            idle_workers_retire();
            // And they come again.
            dispatch_semaphore_t again = dispatch_semaphore_create(0);
            dispatch_async(dispatch_get_global_queue(0, 0), ^{
                dispatch_semaphore_signal(again);
            });
            AWAIT(again);
        }
    }
    return 0;
}
