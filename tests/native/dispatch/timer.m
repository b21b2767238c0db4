// SPDX-License-Identifier: Apache-2.0
// Timer sources and dispatch_after.
#include "dispatch_support.h"

static dispatch_source_t timer(dispatch_queue_t queue, dispatch_block_t handler) {
    dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, queue);
    dispatch_source_set_event_handler(source, handler);
    return source;
}

static void end(dispatch_source_t source) {
    dispatch_semaphore_t cancelled = dispatch_semaphore_create(0);
    dispatch_source_set_cancel_handler(source, ^{
        dispatch_semaphore_signal(cancelled);
    });
    dispatch_source_cancel(source);
    dispatch_source_cancel(source);
    AWAIT(cancelled);
    CHECK(dispatch_source_testcancel(source) != 0);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(cancelled, DISPATCH_TIME_NOW) != 0, "the cancel handler ran twice");
}

static void it_fires_until_cancelled(dispatch_time_t start) {
    dispatch_queue_t queue = dispatch_queue_create("timer", NULL);
    dispatch_semaphore_t fired = dispatch_semaphore_create(0);
    __block long count = 0;
    dispatch_source_t source = timer(queue, ^{
        count++;
        dispatch_semaphore_signal(fired);
    });
    dispatch_source_set_timer(source, start, 2 * NSEC_PER_MSEC, NSEC_PER_MSEC);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(fired, DISPATCH_TIME_NOW) != 0, "it fired before it was activated");
    dispatch_activate(source);
    for (int i = 0; i < 5; i++) {
        AWAIT(fired);
    }
    end(source);
    __block long at_cancel;
    dispatch_sync(queue, ^{
        at_cancel = count;
    });
    give_it_a_chance();
    dispatch_sync(queue, ^{
        CHECK(count == at_cancel, "it fired after its cancel handler");
    });
    while (dispatch_semaphore_wait(fired, DISPATCH_TIME_NOW) == 0) {
    }
}

static void without_interval_it_fires_once(void) {
    dispatch_semaphore_t fired = dispatch_semaphore_create(0);
    dispatch_source_t source = timer(dispatch_queue_create("once", NULL), ^{
        dispatch_semaphore_signal(fired);
    });
    dispatch_source_set_timer(source, DISPATCH_TIME_NOW, DISPATCH_TIME_FOREVER, 0);
    dispatch_resume(source);
    AWAIT(fired);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(fired, DISPATCH_TIME_NOW) != 0);
    // Set anew, it fires again; set to never, it does not.
    dispatch_source_set_timer(source, dispatch_time(DISPATCH_TIME_NOW, NSEC_PER_MSEC), DISPATCH_TIME_FOREVER, 0);
    AWAIT(fired);
    dispatch_source_set_timer(source, dispatch_time(DISPATCH_TIME_NOW, 20 * NSEC_PER_MSEC), DISPATCH_TIME_FOREVER, 0);
    dispatch_source_set_timer(source, DISPATCH_TIME_FOREVER, DISPATCH_TIME_FOREVER, 0);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(fired, DISPATCH_TIME_NOW) != 0);
    end(source);
}

static void what_was_missed_is_counted(void) {
    dispatch_queue_t queue = dispatch_queue_create("missed", NULL);
    dispatch_semaphore_t fired = dispatch_semaphore_create(0);
    __block uintptr_t data = 0;
    __block bool done = false;
    __block __weak dispatch_source_t weak;
    dispatch_source_t source = timer(queue, ^{
        data = dispatch_source_get_data(weak);
        if (!done) {
            dispatch_suspend(weak);
            dispatch_semaphore_signal(fired);
        }
    });
    weak = source;
    dispatch_source_set_timer(source, DISPATCH_TIME_NOW, NSEC_PER_MSEC, 0);
    dispatch_resume(source);
    AWAIT(fired);
    give_it_a_chance();
    CHECK(dispatch_semaphore_wait(fired, DISPATCH_TIME_NOW) != 0, "it fired while suspended");
    dispatch_resume(source);
    AWAIT(fired);
    dispatch_sync(queue, ^{
        CHECK(data >= 20, "%lu of at least 20 intervals", (unsigned long)data);
        done = true;
    });
    dispatch_resume(source);
    end(source);
}

static void it_can_end_itself(void) {
    dispatch_semaphore_t cancelled = dispatch_semaphore_create(0);
    static int count;
    @autoreleasepool {
        // Held by its own handler alone, until the cancellation releases that.
        dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, DISPATCH_TIMER_STRICT, nil);
        dispatch_source_set_event_handler(source, ^{
            if (++count == 3) {
                dispatch_source_cancel(source);
            }
        });
        dispatch_source_set_cancel_handler(source, ^{
            dispatch_semaphore_signal(cancelled);
        });
        dispatch_source_set_timer(source, DISPATCH_TIME_NOW, NSEC_PER_MSEC, 0);
        dispatch_resume(source);
    }
    AWAIT(cancelled);
    CHECK(count == 3, "%d", count);
}

static void a_source_that_nobody_holds_stops(void) {
    dispatch_queue_t queue = dispatch_queue_create("abandoned", NULL);
    __block int count = 0;
    @autoreleasepool {
        dispatch_source_t source = timer(queue, ^{
            count++;
        });
        dispatch_source_set_cancel_handler(source, ^{
            CHECK(false, "it was not cancelled");
        });
        dispatch_source_set_timer(source, dispatch_time(DISPATCH_TIME_NOW, 10 * NSEC_PER_MSEC), NSEC_PER_MSEC, 0);
        dispatch_resume(source);
    }
    give_it_a_chance();
    dispatch_sync(queue, ^{
        CHECK(count == 0, "%d", count);
    });
}

static void a_cancelled_source_tells_although_nobody_holds_it(void) {
    dispatch_semaphore_t cancelled = dispatch_semaphore_create(0);
    @autoreleasepool {
        dispatch_source_t source = timer(nil, ^{
                                         });
        dispatch_source_set_cancel_handler(source, ^{
            dispatch_semaphore_signal(cancelled);
        });
        dispatch_source_cancel(source);
        dispatch_activate(source);
    }
    AWAIT(cancelled);
}

static void after_comes_in_order_of_time(void) {
    dispatch_queue_t queue = dispatch_queue_create("after", NULL);
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    static int next;
    dispatch_time_t now = dispatch_time(DISPATCH_TIME_NOW, 0);
    for (int i = 50; i-- > 0;) {
        dispatch_after(dispatch_time(now, (5 + i) * (int64_t)NSEC_PER_MSEC), queue, ^{
            CHECK(next++ == i, "%d", i);
            dispatch_semaphore_signal(done);
        });
    }
    dispatch_after(DISPATCH_TIME_FOREVER, queue, ^{
        CHECK(false, "for ever is over");
    });
    for (int i = 0; i < 50; i++) {
        AWAIT(done);
    }
    dispatch_after(DISPATCH_TIME_NOW, queue, ^{
        dispatch_semaphore_signal(done);
    });
    AWAIT(done);
    dispatch_after(dispatch_walltime(NULL, 5 * NSEC_PER_MSEC), queue, ^{
        dispatch_semaphore_signal(done);
    });
    AWAIT(done);
}

int main(void) {
    @autoreleasepool {
        it_fires_until_cancelled(DISPATCH_TIME_NOW);
        it_fires_until_cancelled(dispatch_walltime(NULL, NSEC_PER_MSEC));
        without_interval_it_fires_once();
        what_was_missed_is_counted();
        it_can_end_itself();
        a_source_that_nobody_holds_stops();
        a_cancelled_source_tells_although_nobody_holds_it();
        after_comes_in_order_of_time();
    }
    return 0;
}
