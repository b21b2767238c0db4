// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_SEMAPHORE_H
#define DISPATCH_SEMAPHORE_H

#include <dispatch/object.h>
#include <dispatch/time.h>

DISPATCH_DECL(dispatch_semaphore);

DISPATCH_ASSUME_NONNULL_BEGIN

/// NULL for a negative value. A semaphore must be back at its first value, or above, when it is released.
DISPATCH_EXPORT DISPATCH_RETURNS_RETAINED dispatch_semaphore_t dispatch_semaphore_create(intptr_t value);
/// 0, or not 0 if the time passed.
DISPATCH_EXPORT intptr_t dispatch_semaphore_wait(dispatch_semaphore_t dsema, dispatch_time_t timeout);
/// Not 0 if a thread was waiting.
DISPATCH_EXPORT intptr_t dispatch_semaphore_signal(dispatch_semaphore_t dsema);

DISPATCH_ASSUME_NONNULL_END

#endif
