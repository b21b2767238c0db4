// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_ONCE_H
#define DISPATCH_ONCE_H

#include <dispatch/base.h>

/// Static storage, zero at first.
typedef intptr_t dispatch_once_t;

DISPATCH_ASSUME_NONNULL_BEGIN

DISPATCH_EXPORT void dispatch_once(dispatch_once_t *predicate, DISPATCH_NOESCAPE dispatch_block_t block);
DISPATCH_EXPORT void dispatch_once_f(dispatch_once_t *predicate, void *_Nullable context, dispatch_function_t function);

// The common case, done long ago, costs one load.
static inline __attribute__((__always_inline__)) void _dispatch_once(dispatch_once_t *predicate,
                                                                     DISPATCH_NOESCAPE dispatch_block_t block) {
    if (__builtin_expect(__atomic_load_n(predicate, __ATOMIC_ACQUIRE), ~0l) != ~0l) {
        dispatch_once(predicate, block);
    }
}
static inline __attribute__((__always_inline__)) void
_dispatch_once_f(dispatch_once_t *predicate, void *_Nullable context, dispatch_function_t function) {
    if (__builtin_expect(__atomic_load_n(predicate, __ATOMIC_ACQUIRE), ~0l) != ~0l) {
        dispatch_once_f(predicate, context, function);
    }
}
#undef dispatch_once
#define dispatch_once _dispatch_once
#undef dispatch_once_f
#define dispatch_once_f _dispatch_once_f

DISPATCH_ASSUME_NONNULL_END

#endif
