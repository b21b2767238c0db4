// SPDX-License-Identifier: Apache-2.0
// Concurrent queues run items side by side, barriers alone and in their turn; dispatch_apply runs each iteration once.
#include "dispatch_support.h"

static void items_run_side_by_side(dispatch_queue_t queue) {
    dispatch_semaphore_t first = dispatch_semaphore_create(0);
    dispatch_semaphore_t second = dispatch_semaphore_create(0);
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    // Neither can end unless the other has begun.
    dispatch_async(queue, ^{
        dispatch_semaphore_signal(first);
        AWAIT(second);
        dispatch_semaphore_signal(done);
    });
    dispatch_async(queue, ^{
        dispatch_semaphore_signal(second);
        AWAIT(first);
        dispatch_semaphore_signal(done);
    });
    AWAIT(done);
    AWAIT(done);
}

static void barriers_are_alone(void) {
    dispatch_queue_t queue = dispatch_queue_create("barriers", DISPATCH_QUEUE_CONCURRENT);
    static int readers;
    static long written;
    on_threads(4, ^(int thread) {
        for (int i = 0; i < 500; i++) {
            void (^read)(void) = ^{
                __atomic_fetch_add(&readers, 1, __ATOMIC_SEQ_CST);
                long seen = written;
                CHECK(seen == written);
                __atomic_fetch_sub(&readers, 1, __ATOMIC_SEQ_CST);
            };
            // No lock around `written`: the barrier is.
            void (^write)(void) = ^{
                dispatch_assert_queue_barrier(queue);
                CHECK(__atomic_load_n(&readers, __ATOMIC_SEQ_CST) == 0, "a barrier runs beside others");
                written++;
            };
            dispatch_async(queue, read);
            dispatch_sync(queue, read);
            if (i % 2 == thread % 2) {
                dispatch_barrier_async(queue, write);
            } else {
                dispatch_barrier_sync(queue, write);
            }
        }
    });
    dispatch_barrier_sync(queue, ^{
        CHECK(written == 4 * 500, "%ld", written);
    });
}

static void a_barrier_waits_its_turn(void) {
    dispatch_queue_t queue = dispatch_queue_create("turn", DISPATCH_QUEUE_CONCURRENT);
    static int before;
    static bool barrier_ran;
    for (int i = 0; i < 100; i++) {
        dispatch_async(queue, ^{
            __atomic_fetch_add(&before, 1, __ATOMIC_SEQ_CST);
        });
    }
    dispatch_barrier_async(queue, ^{
        CHECK(before == 100, "%d", before);
        barrier_ran = true;
    });
    dispatch_sync(queue, ^{
        CHECK(barrier_ran, "work overtook a barrier");
    });
}

static void apply_runs_each_iteration_once(dispatch_queue_t queue) {
    static int runs[1000];
    memset(runs, 0, sizeof runs);
    dispatch_apply(1000, queue, ^(size_t iteration) {
        __atomic_fetch_add(&runs[iteration], 1, __ATOMIC_SEQ_CST);
    });
    for (int i = 0; i < 1000; i++) {
        CHECK(runs[i] == 1, "iteration %d ran %d times", i, runs[i]);
    }
}

int main(void) {
    @autoreleasepool {
        dispatch_queue_t concurrent = dispatch_queue_create("concurrent", DISPATCH_QUEUE_CONCURRENT);
        items_run_side_by_side(concurrent);
        items_run_side_by_side(dispatch_get_global_queue(QOS_CLASS_UTILITY, 0));
        items_run_side_by_side(dispatch_queue_create_with_target("above", DISPATCH_QUEUE_CONCURRENT, concurrent));
        barriers_are_alone();
        a_barrier_waits_its_turn();
        apply_runs_each_iteration_once(concurrent);
        apply_runs_each_iteration_once(dispatch_queue_create("serial", NULL));
        apply_runs_each_iteration_once(DISPATCH_APPLY_AUTO);
        CHECK(dispatch_get_global_queue(12345, 0) == nil);
        CHECK(dispatch_get_global_queue(0, 1) == nil);
    }
    return 0;
}
