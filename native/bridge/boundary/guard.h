// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// The guards in which the bridge runs its code.
//
// Every exported function runs its body in one of them: one autorelease pool, so that a caller that never returns to a
// run loop piles nothing up, and one exception guard, because unwinding through C into Python is undefined.
//
// No exception leaves a block on a queue: libdispatch would end the process, on a thread that is nobody's. Any call
// into the framework may raise, since it raises for what it calls a precondition. So blocks go to a queue through
// applevz_queue_async and applevz_queue_after (dispatching.h). The framework's own calls (completion handlers,
// delegates, observers) run their body in applevz_error_raised_by if somebody is to get the error, and in
// applevz_guard_infallible if nobody is.
//
// A guard does not retain its block, which would send a message before it is known whether one may be sent. The block
// is on the caller's stack for as long as it runs.

/// Runs `body` and hands its error over. In a process that inherited machines by fork `body` does not run, and the
/// error is the one that was made for it (forked_error.h).
CFErrorRef _Nullable applevz_guard(__attribute__((noescape))
                                   NSError *_Nullable (^__unsafe_unretained body)(void)) CF_RETURNS_RETAINED;

/// For functions that have no way to report an error: an exception ends the body and goes no further. In such a process
/// it does not run: what is released there stays, since its locks may be held by threads that are not there, and what
/// it would end is the parent's.
void applevz_guard_infallible(__attribute__((noescape)) void (^__unsafe_unretained body)(void));

/// Runs `body`; the error of the exception that ended it, or nil.
NSError *_Nullable applevz_error_raised_by(__attribute__((noescape)) void (^__unsafe_unretained body)(void));

/// True in a child that was forked after this process began to use machines. Their queues, their threads and their
/// framework stayed with the parent; whatever is done to them here must not reach it.
bool applevz_machines_were_inherited(void);

/// From here on, a fork leaves the child with machines that are not its own.
void applevz_machines_are_in_use(void);

NS_ASSUME_NONNULL_END
