// SPDX-License-Identifier: Apache-2.0
#import "dispatching.h"

static const char queue_key;

dispatch_queue_t applevz_queue_create(void) {
    dispatch_queue_t queue = dispatch_queue_create("applevz.machine", DISPATCH_QUEUE_SERIAL);
    // The value only has to differ between queues: the queue's own address, which nothing follows.
    dispatch_queue_set_specific(queue, &queue_key, (__bridge void *)queue, NULL);
    return queue;
}

void applevz_queue_async(dispatch_queue_t queue, void (^work)(void)) {
    dispatch_async(queue, ^{
        @autoreleasepool {
            work();
        }
    });
}

void applevz_queue_sync(dispatch_queue_t queue, __attribute__((noescape)) void (^work)(void)) {
    if (dispatch_get_specific(&queue_key) == (__bridge void *)queue) {
        work();
        return;
    }
    __block NSException *raised = nil;
    dispatch_sync(queue, ^{
        @try {
            work();
        } @catch (NSException *exception) {
            raised = exception;
        }
    });
    if (raised != nil)
        @throw raised;
}
