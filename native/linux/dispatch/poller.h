// SPDX-License-Identifier: Apache-2.0
// For the Virtualization classes: not part of Apple's API.
#ifndef DISPATCH_POLLER_H
#define DISPATCH_POLLER_H

#include <dispatch/base.h>
#include <dispatch/queue.h>

DISPATCH_ASSUME_NONNULL_BEGIN

/// Starts the process's one poller thread unless it runs already. 0, or the errno of what could not be had: ask before
/// depending on dispatch_poller_perform_sync, which aborts then.
extern int dispatch_poller_start(void);

/// Runs the block on the poller thread, which lives as long as the process, and waits for it: PR_SET_PDEATHSIG is
/// bound to the thread that starts a process, so one that may end must not. Sources and timers wait meanwhile: keep the
/// block short. On the poller thread itself, and in a child of fork(), the block runs on the caller.
extern void dispatch_poller_perform_sync(DISPATCH_NOESCAPE dispatch_block_t block);

/// From now on the poller runs the handlers of this queue's sources itself where the queue is free: a thread less is
/// woken before somebody has an answer. Nothing on the queue may wait for another queue, or take long: all sources and
/// timers of the process would wait with it.
extern void dispatch_poller_serve_queue(dispatch_queue_t queue);

/// Whether the caller is the poller, for which all sources and timers of the process wait.
extern bool dispatch_poller_is_current(void);

/// True in a process that was forked, without exec, from one in which the poller or a worker had been started. Those
/// threads do not exist here: asynchronous work is dropped, synchronous work runs on the caller at once, sources and
/// timers never fire, waits that would block fail.
extern bool dispatch_poller_inherited(void);

DISPATCH_ASSUME_NONNULL_END

#endif
