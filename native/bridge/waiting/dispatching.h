// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

// The only file that puts work on a machine's queue. VZVirtualMachine is used on its queue and nowhere else, even to
// read a property: https://developer.apple.com/documentation/virtualization/vzvirtualmachine/queue

/// A serial queue for one machine.
dispatch_queue_t applevz_queue_create(void);

/// Whether the caller is on that queue, which is one of applevz_queue_create's.
BOOL applevz_queue_is_current(dispatch_queue_t queue);

/// Runs `work` on the queue, some time after this returns, in an autorelease pool of its own. An exception ends it and
/// becomes the error that `failed` is given, on the queue, too: whoever waits for what the work was to do is told
/// there.
void applevz_queue_async(dispatch_queue_t queue, void (^work)(void), void (^failed)(NSError *error));

/// The same, so many seconds later.
void applevz_queue_after(dispatch_queue_t queue, double seconds, void (^work)(void), void (^failed)(NSError *error));

/// Runs `work` on the queue and returns when it has run; at once if the caller is on that queue already, since
/// waiting for it would never end. An exception comes back to the caller, not into the queue's thread.
void applevz_queue_sync(dispatch_queue_t queue, __attribute__((noescape)) void (^work)(void));

NS_ASSUME_NONNULL_END
