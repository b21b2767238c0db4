// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// Every exported function runs its body in one of these: one autorelease pool, so that a caller that never returns to a
// run loop piles nothing up, and one exception guard, because unwinding through C into Python is undefined.

/// Runs `body` and hands its error over. Refuses in a process that inherited machines by fork.
CFErrorRef _Nullable applevz_guard(__attribute__((noescape)) NSError *_Nullable (^body)(void)) CF_RETURNS_RETAINED;

/// The same for bodies that touch no machine, and are right in a forked child too.
CFErrorRef _Nullable applevz_guard_everywhere(__attribute__((noescape)) NSError *_Nullable (^body)(void)) CF_RETURNS_RETAINED;

/// For functions that have no way to report an error: an exception ends the body and goes no further.
void applevz_guard_infallible(__attribute__((noescape)) void (^body)(void));

/// True in a child that was forked after this process began to use machines. Their queues, their threads and their
/// framework stayed with the parent; whatever is done to them here must not reach it.
bool applevz_machines_were_inherited(void);

/// From here on, a fork leaves the child with machines that are not its own.
void applevz_machines_are_in_use(void);

NS_ASSUME_NONNULL_END
