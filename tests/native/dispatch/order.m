// SPDX-License-Identifier: Apache-2.0
// Serial queues: one item at a time, in the order of submission, alone and under a common target; dispatch_sync takes
// its turn among them, on the thread that calls it.
#include "dispatch_support.h"

enum { PRODUCERS = 4, ITEMS = 5000 };

static void each_producer_is_served_in_order(void) {
    dispatch_queue_t queue = dispatch_queue_create("order", DISPATCH_QUEUE_SERIAL);
    static int next[PRODUCERS];
    static int total;
    on_threads(PRODUCERS, ^(int producer) {
        for (int item = 0; item < ITEMS; item++) {
            // `next` and `total` have no lock: that the queue runs one item at a time is what protects them.
            dispatch_async(queue, ^{
                CHECK(next[producer] == item, "producer %d: item %d, expected %d", producer, item, next[producer]);
                next[producer]++;
                total++;
            });
            if (item % 500 == 0) {
                dispatch_sync(queue, ^{
                    CHECK(next[producer] == item + 1, "dispatch_sync overtook what was queued before it");
                });
            }
        }
    });
    dispatch_sync(queue, ^{
        CHECK(total == PRODUCERS * ITEMS, "%d", total);
    });
}

static void contended_sync_loses_nothing(void) {
    dispatch_queue_t queue = dispatch_queue_create("contended", NULL);
    static long count;
    on_threads(PRODUCERS, ^(int producer) {
        (void)producer;
        for (int i = 0; i < ITEMS; i++) {
            dispatch_sync(queue, ^{
                count++;
            });
        }
    });
    CHECK(count == (long)PRODUCERS * ITEMS, "%ld", count);
}

static void sync_runs_on_the_calling_thread(void) {
    dispatch_queue_t queue = dispatch_queue_create("here", NULL);
    dispatch_queue_t other = dispatch_queue_create("there", NULL);
    pthread_t caller = pthread_self();
    dispatch_sync(queue, ^{
        CHECK(pthread_equal(pthread_self(), caller));
        CHECK(strcmp(dispatch_queue_get_label(DISPATCH_CURRENT_QUEUE_LABEL), "here") == 0);
        dispatch_sync(other, ^{
            CHECK(pthread_equal(pthread_self(), caller));
            CHECK(strcmp(dispatch_queue_get_label(DISPATCH_CURRENT_QUEUE_LABEL), "there") == 0);
            dispatch_assert_queue(other);
            dispatch_assert_queue(queue);
        });
        dispatch_assert_queue_not(other);
    });
    dispatch_sync(dispatch_get_global_queue(0, 0), ^{
        CHECK(pthread_equal(pthread_self(), caller));
    });
}

static void queues_of_one_target_exclude_each_other(void) {
    dispatch_queue_t target = dispatch_queue_create("target", NULL);
    dispatch_queue_t queues[2] = {dispatch_queue_create_with_target("left", NULL, target),
                                  dispatch_queue_create_with_target("right", NULL, target)};
    __unsafe_unretained dispatch_queue_t left = queues[0];
    __unsafe_unretained dispatch_queue_t right = queues[1];
    static int next[2];
    static int inside;
    static int total;
    on_threads(2, ^(int side) {
        dispatch_queue_t mine = side ? right : left;
        for (int item = 0; item < ITEMS; item++) {
            void (^work)(void) = ^{
                CHECK(++inside == 1, "two queues of one target ran at the same time");
                CHECK(next[side]++ == item);
                dispatch_assert_queue(target);
                total++;
                inside--;
            };
            if (item % 7 == 0) {
                dispatch_sync(mine, work);
            } else {
                dispatch_async(mine, work);
            }
            if (item % 100 == 0) {
                dispatch_sync(target, ^{
                    CHECK(inside == 0);
                });
            }
        }
        dispatch_sync(mine, ^{
                      });
    });
    CHECK(total == 2 * ITEMS, "%d", total);
}

static void a_target_can_be_changed_at_any_time(void) {
    dispatch_queue_t queue = dispatch_queue_create("wanderer", NULL);
    dispatch_queue_t targets[2] = {dispatch_queue_create("east", NULL), dispatch_queue_create("west", NULL)};
    static int next;
    for (int item = 0; item < ITEMS; item++) {
        if (item % 50 == 0) {
            dispatch_set_target_queue(queue, targets[item / 50 % 2]);
        }
        dispatch_queue_t expected = targets[item / 50 % 2];
        dispatch_async(queue, ^{
            CHECK(next++ == item);
            dispatch_assert_queue(expected);
        });
    }
    dispatch_sync(queue, ^{
        CHECK(next == ITEMS);
    });
}

int main(void) {
    @autoreleasepool {
        each_producer_is_served_in_order();
        contended_sync_loses_nothing();
        sync_runs_on_the_calling_thread();
        queues_of_one_target_exclude_each_other();
        a_target_can_be_changed_at_any_time();
    }
    return 0;
}
