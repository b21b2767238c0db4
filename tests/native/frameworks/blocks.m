// SPDX-License-Identifier: Apache-2.0
// Blocks of dispatch_block_create. Checks; with a word, does what ends the process.
//   blocks [foreign|twice|again]
#import <Foundation/Foundation.h>
#include <stdatomic.h>
#include "check.h"

static const dispatch_time_t now = DISPATCH_TIME_NOW, for_ever = DISPATCH_TIME_FOREVER;

static void checkLife(void) {
    dispatch_queue_t queue = dispatch_queue_create("blocks", DISPATCH_QUEUE_SERIAL);
    __block int runs = 0;
    dispatch_semaphore_t told = dispatch_semaphore_create(0);
    dispatch_block_t block = dispatch_block_create(0, ^{
        runs++;
    });
    CHECK(dispatch_block_testcancel(block) == 0);
    CHECK(dispatch_block_wait(block, dispatch_time(now, NSEC_PER_MSEC)) != 0);
    dispatch_block_notify(block, queue, ^{
        CHECK(runs == 1);
        dispatch_semaphore_signal(told);
    });
    dispatch_async(queue, block);
    CHECK(dispatch_block_wait(block, for_ever) == 0 && runs == 1);
    dispatch_semaphore_wait(told, for_ever);
    // Observed afterwards, at once.
    dispatch_block_notify(block, queue, ^{
        dispatch_semaphore_signal(told);
    });
    dispatch_semaphore_wait(told, for_ever);
    CHECK(dispatch_block_testcancel(block) == 0);
    block = nil;

    // Called directly, and with a quality of service.
    dispatch_block_t direct =
        dispatch_block_create_with_qos_class(DISPATCH_BLOCK_ENFORCE_QOS_CLASS, QOS_CLASS_UTILITY, -1, ^{
            runs++;
        });
    direct();
    CHECK(runs == 2 && dispatch_block_wait(direct, now) == 0);
    dispatch_block_perform(DISPATCH_BLOCK_DETACHED, ^{
        runs++;
    });
    CHECK(runs == 3);
    CHECK(dispatch_block_create(0x1000, ^{
                                }) == NULL);
    CHECK(dispatch_block_create_with_qos_class(0, 0x77, 0,
                                               ^{
                                               }) == NULL);
    CHECK(dispatch_block_create_with_qos_class(0, QOS_CLASS_DEFAULT, 1,
                                               ^{
                                               }) == NULL);
}

static void checkCancelling(void) {
    dispatch_queue_t queue = dispatch_queue_create("cancelling", DISPATCH_QUEUE_SERIAL);
    __block int runs = 0;
    dispatch_suspend(queue);
    dispatch_block_t block = dispatch_block_create(DISPATCH_BLOCK_INHERIT_QOS_CLASS, ^{
        runs++;
    });
    dispatch_async(queue, block);
    dispatch_block_cancel(block);
    CHECK(dispatch_block_testcancel(block) != 0);
    // Not through before its turn has come.
    CHECK(dispatch_block_wait(block, dispatch_time(now, 20 * NSEC_PER_MSEC)) != 0);
    dispatch_semaphore_t told = dispatch_semaphore_create(0);
    dispatch_block_notify(block, queue, ^{
        dispatch_semaphore_signal(told);
    });
    dispatch_resume(queue);
    CHECK(dispatch_block_wait(block, for_ever) == 0 && runs == 0);
    dispatch_semaphore_wait(told, for_ever);

    // One that has begun ends as it would, and knows.
    dispatch_semaphore_t begun = dispatch_semaphore_create(0), go = dispatch_semaphore_create(0);
    __block __weak dispatch_block_t itself;
    dispatch_block_t long_one = dispatch_block_create(0, ^{
        dispatch_semaphore_signal(begun);
        dispatch_semaphore_wait(go, for_ever);
        dispatch_block_t strong = itself;
        CHECK(dispatch_block_testcancel(strong) != 0);
        runs++;
    });
    itself = long_one;
    dispatch_async(queue, long_one);
    dispatch_semaphore_wait(begun, for_ever);
    dispatch_block_cancel(long_one);
    dispatch_semaphore_signal(go);
    CHECK(dispatch_block_wait(long_one, for_ever) == 0 && runs == 1);

    // A time-out that is called off, as programs do.
    dispatch_block_t timeout = dispatch_block_create(0, ^{
        abort();
    });
    dispatch_after(dispatch_time(now, 20 * NSEC_PER_MSEC), queue, timeout);
    dispatch_block_cancel(timeout);
    CHECK(dispatch_block_wait(timeout, dispatch_time(now, 20 * NSEC_PER_SEC)) == 0);
}

@interface Counted : NSObject
@end
static atomic_int living; // counted down on the queue while this thread counts up
@implementation Counted
- (instancetype)init {
    living++;
    return [super init];
}
- (void)dealloc {
    living--;
}
@end

static void checkMemory(void) {
    dispatch_queue_t queue = dispatch_queue_create("memory", DISPATCH_QUEUE_SERIAL);
    for (int i = 0; i < 100; i++)
        @autoreleasepool {
            Counted *counted = [[Counted alloc] init];
            dispatch_block_t block = dispatch_block_create(0, ^{
                (void)counted;
            });
            if (i % 2 == 0)
                dispatch_async(queue, block);
            else
                dispatch_block_notify(block, queue,
                                      ^{
                                      });
        }
    dispatch_sync(queue, ^{
                  });
    dispatch_sync(queue, ^{
                  });
    CHECK(living == 0);
}

int main(int argc, char **argv) {
    @autoreleasepool {
        dispatch_queue_t queue = dispatch_queue_create("end", DISPATCH_QUEUE_SERIAL);
        NSString *way = argc == 2 ? @(argv[1]) : @"";
        if ([way isEqualToString:@"foreign"]) {
            dispatch_block_cancel(^{
                (void)queue;
            });
        } else if ([way isEqualToString:@"twice"]) {
            dispatch_block_t block = dispatch_block_create(0, ^{
                                                           });
            dispatch_async(queue, block);
            dispatch_block_wait(block, for_ever);
            dispatch_block_wait(block, for_ever);
        } else if ([way isEqualToString:@"again"]) {
            dispatch_block_t block = dispatch_block_create(0, ^{
                                                           });
            block();
            block();
            dispatch_block_wait(block, for_ever);
        } else {
            checkLife();
            checkCancelling();
            checkMemory();
        }
    }
    return VERDICT;
}
