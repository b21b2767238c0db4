// SPDX-License-Identifier: Apache-2.0
// Groups: wait and notify come when the last member has left, and not before.
#include "dispatch_support.h"

static void wait_is_for_all_members(void) {
    dispatch_group_t group = dispatch_group_create();
    CHECK(dispatch_group_wait(group, DISPATCH_TIME_NOW) == 0, "an empty group makes wait");
    static int done;
    for (int i = 0; i < 200; i++) {
        dispatch_group_async(group, dispatch_get_global_queue(0, 0), ^{
            __atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
        });
    }
    CHECK(dispatch_group_wait(group, PATIENCE) == 0);
    CHECK(__atomic_load_n(&done, __ATOMIC_SEQ_CST) == 200);
}

static void wait_gives_up_in_time(void) {
    dispatch_group_t group = dispatch_group_create();
    dispatch_group_enter(group);
    CHECK(dispatch_group_wait(group, DISPATCH_TIME_NOW) != 0);
    CHECK(dispatch_group_wait(group, dispatch_time(DISPATCH_TIME_NOW, 10 * NSEC_PER_MSEC)) != 0);
    CHECK(dispatch_group_wait(group, dispatch_walltime(NULL, 10 * NSEC_PER_MSEC)) != 0);
    dispatch_group_leave(group);
    CHECK(dispatch_group_wait(group, DISPATCH_TIME_FOREVER) == 0);
}

static void notifications_come_once_and_in_order(void) {
    dispatch_queue_t queue = dispatch_queue_create("notify", NULL);
    dispatch_semaphore_t notified = dispatch_semaphore_create(0);
    static int count;
    @autoreleasepool {
        // Nobody holds the group but its members.
        dispatch_group_t group = dispatch_group_create();
        dispatch_group_enter(group);
        dispatch_group_enter(group);
        for (int i = 0; i < 3; i++) {
            dispatch_group_notify(group, queue, ^{
                CHECK(count++ == i);
                dispatch_semaphore_signal(notified);
            });
        }
        dispatch_group_leave(group);
        dispatch_sync(queue, ^{
            CHECK(count == 0, "notified with a member inside");
        });
        dispatch_async(dispatch_get_global_queue(0, 0), ^{
            dispatch_group_leave(group);
        });
    }
    for (int i = 0; i < 3; i++) {
        AWAIT(notified);
    }
}

static void an_empty_group_notifies_at_once(void) {
    dispatch_semaphore_t notified = dispatch_semaphore_create(0);
    dispatch_group_notify(dispatch_group_create(), dispatch_get_global_queue(0, 0), ^{
        dispatch_semaphore_signal(notified);
    });
    AWAIT(notified);
}

static void a_group_is_used_again(void) {
    dispatch_group_t group = dispatch_group_create();
    dispatch_queue_t queue = dispatch_queue_create("again", DISPATCH_QUEUE_CONCURRENT);
    static int done;
    for (int round = 1; round <= 300; round++) {
        dispatch_group_async(group, queue, ^{
            done++;
        });
        CHECK(dispatch_group_wait(group, PATIENCE) == 0);
        CHECK(done == round);
    }
}

int main(void) {
    @autoreleasepool {
        wait_is_for_all_members();
        wait_gives_up_in_time();
        notifications_come_once_and_in_order();
        an_empty_group_notifies_at_once();
        a_group_is_used_again();
    }
    return 0;
}
