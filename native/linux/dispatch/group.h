// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_GROUP_H
#define DISPATCH_GROUP_H

#include <dispatch/queue.h>
#include <dispatch/time.h>

DISPATCH_DECL(dispatch_group);

DISPATCH_ASSUME_NONNULL_BEGIN

DISPATCH_EXPORT DISPATCH_RETURNS_RETAINED dispatch_group_t dispatch_group_create(void);
DISPATCH_EXPORT void dispatch_group_enter(dispatch_group_t group);
DISPATCH_EXPORT void dispatch_group_leave(dispatch_group_t group);
DISPATCH_EXPORT void dispatch_group_async(dispatch_group_t group, dispatch_queue_t queue, dispatch_block_t block);
DISPATCH_EXPORT void dispatch_group_async_f(dispatch_group_t group, dispatch_queue_t queue, void *_Nullable context,
                                            dispatch_function_t work);
/// 0 once the group was empty, not 0 if the time passed first.
DISPATCH_EXPORT intptr_t dispatch_group_wait(dispatch_group_t group, dispatch_time_t timeout);
DISPATCH_EXPORT void dispatch_group_notify(dispatch_group_t group, dispatch_queue_t queue, dispatch_block_t block);
DISPATCH_EXPORT void dispatch_group_notify_f(dispatch_group_t group, dispatch_queue_t queue, void *_Nullable context,
                                             dispatch_function_t work);

DISPATCH_ASSUME_NONNULL_END

#endif
