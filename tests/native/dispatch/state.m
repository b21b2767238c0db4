// SPDX-License-Identifier: Apache-2.0
// Suspension, activation, labels, specifics and contexts.
#include "dispatch_support.h"

static void suspension_holds_work_back(void) {
    dispatch_queue_t queue = dispatch_queue_create("suspended", NULL);
    dispatch_semaphore_t ran = dispatch_semaphore_create(0);
    dispatch_suspend(queue);
    dispatch_suspend(queue);
    for (int i = 0; i < 3; i++) {
        dispatch_async(queue, ^{
            dispatch_semaphore_signal(ran);
        });
    }
    dispatch_resume(queue);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(ran, DISPATCH_TIME_NOW) != 0, "suspended twice, resumed once, and it runs");
    dispatch_resume(queue);
    for (int i = 0; i < 3; i++) {
        AWAIT(ran);
    }
}

static void suspension_from_inside_stops_before_the_next_item(void) {
    dispatch_queue_t queue = dispatch_queue_create("inside", NULL);
    dispatch_semaphore_t ran = dispatch_semaphore_create(0);
    dispatch_async(queue, ^{
        dispatch_suspend(queue);
        dispatch_semaphore_signal(ran);
    });
    dispatch_async(queue, ^{
        dispatch_semaphore_signal(ran);
    });
    AWAIT(ran);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(ran, DISPATCH_TIME_NOW) != 0);
    // dispatch_sync waits for the end of the suspension, in its turn.
    __block bool resumed = false;
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, 5 * NSEC_PER_MSEC), dispatch_get_global_queue(0, 0), ^{
        __atomic_store_n(&resumed, true, __ATOMIC_SEQ_CST);
        dispatch_resume(queue);
    });
    dispatch_sync(queue, ^{
        CHECK(__atomic_load_n(&resumed, __ATOMIC_SEQ_CST));
        CHECK(dispatch_semaphore_wait(ran, DISPATCH_TIME_NOW) == 0, "dispatch_sync overtook");
    });
}

static void an_inactive_queue_waits_for_activation(void) {
    dispatch_queue_attr_t attribute = dispatch_queue_attr_make_initially_inactive(
        dispatch_queue_attr_make_with_qos_class(DISPATCH_QUEUE_CONCURRENT, QOS_CLASS_UTILITY, -1));
    dispatch_queue_t queue = dispatch_queue_create("inactive", attribute);
    dispatch_queue_t target = dispatch_queue_create("its-target", NULL);
    dispatch_semaphore_t ran = dispatch_semaphore_create(0);
    dispatch_async(queue, ^{
        dispatch_assert_queue(target);
        dispatch_semaphore_signal(ran);
    });
    dispatch_set_target_queue(queue, target);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(ran, DISPATCH_TIME_NOW) != 0);
    dispatch_activate(queue);
    dispatch_activate(queue);
    AWAIT(ran);
}

static int destroyed;

static void count_destruction(void *value) {
    __atomic_fetch_add(&destroyed, *(int *)value, __ATOMIC_SEQ_CST);
}

static void specifics_belong_to_queues_and_their_targets(void) {
    static char upper_key;
    static char lower_key;
    static int one = 1;
    static int ten = 10;
    static int hundred = 100;
    @autoreleasepool {
        dispatch_queue_t target = dispatch_queue_create("lower", NULL);
        dispatch_queue_t queue = dispatch_queue_create_with_target("upper", DISPATCH_QUEUE_CONCURRENT, target);
        dispatch_queue_set_specific(queue, &upper_key, &one, count_destruction);
        dispatch_queue_set_specific(target, &lower_key, &ten, count_destruction);
        CHECK(dispatch_queue_get_specific(queue, &upper_key) == &one);
        CHECK(dispatch_queue_get_specific(queue, &lower_key) == NULL);
        CHECK(dispatch_get_specific(&upper_key) == NULL);
        void (^look)(void) = ^{
            CHECK(dispatch_get_specific(&upper_key) == &one);
            CHECK(dispatch_get_specific(&lower_key) == &ten);
        };
        dispatch_sync(queue, look);
        dispatch_async(queue, look);
        dispatch_sync(target, ^{
            CHECK(dispatch_get_specific(&upper_key) == NULL);
        });
        dispatch_barrier_sync(queue, look);
        dispatch_queue_set_specific(target, &lower_key, &hundred, count_destruction);
        CHECK(dispatch_queue_get_specific(target, &lower_key) == &hundred);
    }
    for (int i = 0; i < 3000 && __atomic_load_n(&destroyed, __ATOMIC_SEQ_CST) != 111; i++) {
        usleep(10000);
    }
    CHECK(destroyed == 111, "%d", destroyed);
}

static void labels_and_contexts_are_kept(void) {
    char label[] = "copied";
    dispatch_queue_t queue = dispatch_queue_create(label, NULL);
    label[0] = 'x';
    CHECK(strcmp(dispatch_queue_get_label(queue), "copied") == 0);
    CHECK(strcmp(dispatch_queue_get_label(dispatch_queue_create(NULL, NULL)), "") == 0);
    CHECK(dispatch_get_context(queue) == NULL);
    dispatch_set_context(queue, label);
    CHECK(dispatch_get_context(queue) == label);
    CHECK(dispatch_get_main_queue() == dispatch_get_main_queue());
}

int main(void) {
    @autoreleasepool {
        suspension_holds_work_back();
        suspension_from_inside_stops_before_the_next_item();
        an_inactive_queue_waits_for_activation();
        specifics_belong_to_queues_and_their_targets();
        labels_and_contexts_are_kept();
    }
    return 0;
}
