// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_BLOCK_H
#define DISPATCH_BLOCK_H

#include <dispatch/queue.h>
#include <dispatch/time.h>

DISPATCH_ASSUME_NONNULL_BEGIN

/// All are accepted. The barrier is one where the block is handed to dispatch_barrier_async; quality of service has no
/// effect.
typedef unsigned long dispatch_block_flags_t;
enum {
    DISPATCH_BLOCK_BARRIER = 0x1,
    DISPATCH_BLOCK_DETACHED = 0x2,
    DISPATCH_BLOCK_ASSIGN_CURRENT = 0x4,
    DISPATCH_BLOCK_NO_QOS_CLASS = 0x8,
    DISPATCH_BLOCK_INHERIT_QOS_CLASS = 0x10,
    DISPATCH_BLOCK_ENFORCE_QOS_CLASS = 0x20,
};

/// A block that can be cancelled and waited for. NULL for flags, or a quality of service, that there are not.
DISPATCH_EXPORT DISPATCH_RETURNS_RETAINED dispatch_block_t _Nullable dispatch_block_create(dispatch_block_flags_t flags,
                                                                                           dispatch_block_t block);
DISPATCH_EXPORT DISPATCH_RETURNS_RETAINED dispatch_block_t _Nullable dispatch_block_create_with_qos_class(
    dispatch_block_flags_t flags, dispatch_qos_class_t qos_class, int relative_priority, dispatch_block_t block);
/// As one that was created with these flags and called now.
DISPATCH_EXPORT void dispatch_block_perform(dispatch_block_flags_t flags, DISPATCH_NOESCAPE dispatch_block_t block);

// The functions below abort for a block that none of the functions above made.

/// 0 once the block has run to its end, whether cancelled or not; not 0 if the time passed first. Aborts where the
/// block is waited for twice, or run twice and waited for.
DISPATCH_EXPORT intptr_t dispatch_block_wait(dispatch_block_t block, dispatch_time_t timeout);
/// When the block has run to its end for the first time.
DISPATCH_EXPORT void dispatch_block_notify(dispatch_block_t block, dispatch_queue_t queue,
                                           dispatch_block_t notification_block);
/// What the block does is not done when its turn comes. One that has begun goes on.
DISPATCH_EXPORT void dispatch_block_cancel(dispatch_block_t block);
DISPATCH_EXPORT intptr_t dispatch_block_testcancel(dispatch_block_t block);

DISPATCH_ASSUME_NONNULL_END

#endif
