// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

// The only file that puts work on a machine's queue. VZVirtualMachine is used on its queue and nowhere else, reading a
// property too: https://developer.apple.com/documentation/virtualization/vzvirtualmachine/queue

/// A serial queue for one machine.
dispatch_queue_t applevz_queue_create(void);

/// Runs `work` on the queue, some time after this returns, in an autorelease pool of its own.
void applevz_queue_async(dispatch_queue_t queue, void (^work)(void));

/// The same, so many seconds later.
void applevz_queue_after(dispatch_queue_t queue, double seconds, void (^work)(void));

/// Runs `work` on the queue and returns when it has run; at once where the caller is on that queue already, since waiting
/// for it would never end. An exception comes back to the caller, not into the queue's thread.
void applevz_queue_sync(dispatch_queue_t queue, __attribute__((noescape)) void (^work)(void));

NS_ASSUME_NONNULL_END
