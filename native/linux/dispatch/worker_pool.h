// SPDX-License-Identifier: Apache-2.0
// The threads that run the work of all queues but the main one.
#ifndef DISPATCH_WORKER_POOL_H
#define DISPATCH_WORKER_POOL_H

#include <stdbool.h>

struct work;

void worker_pool_push(struct work *work);

/// Around a wait inside dispatch: a worker that cannot run lets another one start.
void worker_pool_wait_begin(void);
void worker_pool_wait_end(void);

/// How many workers run at a time: as many as the process has processors.
unsigned worker_pool_processors(void);

/// After each work item.
void worker_pool_count_progress(void);

/// From the poller, every 50 ms while asked for: adds a worker if nothing was finished since the last time although
/// work is waiting, because all workers are blocked in ways that the pool cannot see. False once nothing is left to
/// watch.
bool worker_pool_tick(void);

#endif
