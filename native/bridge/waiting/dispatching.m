// SPDX-License-Identifier: Apache-2.0
#import "dispatching.h"
#import "applevz_extensions.h"
#import "boundary/guard.h"
#import <Virtualization/Virtualization.h>
#import <stdlib.h>

static const char queue_key;

dispatch_queue_t applevz_queue_create(void) {
    dispatch_queue_t queue = dispatch_queue_create("applevz.machine", DISPATCH_QUEUE_SERIAL);
    // The value only has to differ between queues: an address that nothing else has as long as the queue is there.
    dispatch_queue_set_specific(queue, &queue_key, malloc(1), free);
    // What the bridge does there takes locks that nobody holds for long, and wakes whoever waits.
    Class<AppleVZMachineExtensions> platform = (Class)[VZVirtualMachine class];
    if ([platform respondsToSelector:@selector(applevzServeQuickQueue:)])
        [platform applevzServeQuickQueue:queue];
    return queue;
}

BOOL applevz_queue_is_current(dispatch_queue_t queue) {
    void *current = dispatch_get_specific(&queue_key);
    return current != NULL && current == dispatch_queue_get_specific(queue, &queue_key);
}

static void perform(void (^work)(void), void (^failed)(NSError *error)) {
    @autoreleasepool {
        NSError *error = applevz_error_raised_by(work);
        if (error != nil)
            failed(error);
    }
}

void applevz_queue_async(dispatch_queue_t queue, void (^work)(void), void (^failed)(NSError *error)) {
    dispatch_async(queue, ^{
        perform(work, failed);
    });
}

void applevz_queue_after(dispatch_queue_t queue, double seconds, void (^work)(void), void (^failed)(NSError *error)) {
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, (int64_t)(seconds * (double)NSEC_PER_SEC)), queue, ^{
        perform(work, failed);
    });
}

void applevz_queue_sync(dispatch_queue_t queue, __attribute__((noescape)) void (^work)(void)) {
    if (applevz_queue_is_current(queue)) {
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
