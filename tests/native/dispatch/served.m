// SPDX-License-Identifier: Apache-2.0
// A queue that the poller serves: its sources' handlers run on the poller where the queue is free, in their turn behind
// what has it where it is not, and never beside one another.
#include "dispatch_support.h"

enum { ROUNDS = 300 };

static _Atomic int inside;
static _Atomic int handled;
static _Atomic int on_poller;
static pthread_t poller;

static void alone(void (^work)(void)) {
    CHECK(inside++ == 0, "two at a time");
    work();
    CHECK(--inside == 0, "two at a time");
}

static dispatch_source_t source_that_answers(dispatch_queue_t queue, struct descriptors pipe,
                                             dispatch_semaphore_t done) {
    dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)pipe.first, 0, queue);
    dispatch_source_set_event_handler(source, ^{
        dispatch_assert_queue(queue);
        alone(^{
            char byte;
            CHECK(read(pipe.first, &byte, 1) == 1);
            handled++;
            on_poller += pthread_equal(poller, pthread_self()) != 0;
        });
        dispatch_semaphore_signal(done);
    });
    dispatch_resume(source);
    return source;
}

static void a_free_queue_is_served_by_the_poller(dispatch_queue_t queue, struct descriptors pipe,
                                                 dispatch_semaphore_t done) {
    handled = on_poller = 0;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(write(pipe.second, "", 1) == 1);
        AWAIT(done);
    }
    CHECK(handled == ROUNDS);
    CHECK(on_poller == ROUNDS, "%d of %d", on_poller, ROUNDS);
}

static void what_has_the_queue_is_waited_for(dispatch_queue_t queue, struct descriptors pipe,
                                             dispatch_semaphore_t done) {
    handled = on_poller = 0;
    dispatch_sync(queue, ^{
        alone(^{
            CHECK(write(pipe.second, "", 1) == 1);
            give_it_a_chance();
            CHECK(handled == 0, "the poller did not wait for its turn");
            // It did not stand still either.
            dispatch_poller_perform_sync(^{
            });
        });
    });
    AWAIT(done);
    CHECK(handled == 1);
    dispatch_suspend(queue);
    CHECK(write(pipe.second, "", 1) == 1);
    give_it_a_chance();
    CHECK(handled == 1, "a suspended queue ran something");
    dispatch_resume(queue);
    AWAIT(done);
    CHECK(handled == 2);
}

static void everybody_has_a_turn(dispatch_queue_t queue, struct descriptors pipe, dispatch_semaphore_t done) {
    handled = 0;
    static int others;
    dispatch_group_t group = dispatch_group_create();
    on_threads(4, ^(int thread) {
        for (int i = 0; i < ROUNDS; i++) {
            void (^work)(void) = ^{
                alone(^{
                    others++;
                });
            };
            switch (thread) {
            case 0:
                dispatch_sync(queue, work);
                break;
            case 1:
                dispatch_group_async(group, queue, work);
                break;
            default:
                CHECK(write(pipe.second, "", 1) == 1);
                AWAIT(done);
            }
        }
    });
    CHECK(dispatch_group_wait(group, PATIENCE) == 0);
    CHECK(others == 2 * ROUNDS && handled == 2 * ROUNDS);
}

static void a_queue_above_another_is_not_run_out_of_its_turn(struct descriptors pipe) {
    dispatch_queue_t target = dispatch_queue_create("target", NULL);
    dispatch_queue_t queue = dispatch_queue_create_with_target("q", NULL, target);
    dispatch_poller_serve_queue(queue);
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    dispatch_source_t source = source_that_answers(queue, pipe, done);
    handled = on_poller = 0;
    dispatch_sync(target, ^{
        alone(^{
            CHECK(write(pipe.second, "", 1) == 1);
            give_it_a_chance();
        });
    });
    AWAIT(done);
    CHECK(handled == 1 && on_poller == 0);
    dispatch_source_cancel(source);
}

int main(void) {
    @autoreleasepool {
        dispatch_poller_perform_sync(^{
            poller = pthread_self();
        });
        dispatch_queue_t queue = dispatch_queue_create("q", NULL);
        dispatch_poller_serve_queue(queue);
        struct descriptors pipe = new_pipe(O_CLOEXEC);
        dispatch_semaphore_t done = dispatch_semaphore_create(0);
        dispatch_source_t source = source_that_answers(queue, pipe, done);
        a_free_queue_is_served_by_the_poller(queue, pipe, done);
        what_has_the_queue_is_waited_for(queue, pipe, done);
        everybody_has_a_turn(queue, pipe, done);
        dispatch_source_cancel(source);
        a_queue_above_another_is_not_run_out_of_its_turn(new_pipe(O_CLOEXEC));
    }
    return 0;
}
