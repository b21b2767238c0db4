// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_TIME_H
#define DISPATCH_TIME_H

#include <dispatch/base.h>

struct timespec;

#define NSEC_PER_SEC 1000000000ull
#define NSEC_PER_MSEC 1000000ull
#define USEC_PER_SEC 1000000ull
#define NSEC_PER_USEC 1000ull

/// A point of the monotonic clock, or, with the top bit set, of the wall clock.
typedef uint64_t dispatch_time_t;

#define DISPATCH_TIME_NOW (0ull)
#define DISPATCH_TIME_FOREVER (~0ull)
#define DISPATCH_WALLTIME_NOW (~1ull)

DISPATCH_ASSUME_NONNULL_BEGIN

/// `when` moved by `delta` nanoseconds on its own clock; DISPATCH_TIME_FOREVER where that does not fit.
DISPATCH_EXPORT dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta);
/// A wall-clock time: `when`, or now where it is NULL, moved by `delta` nanoseconds.
DISPATCH_EXPORT dispatch_time_t dispatch_walltime(const struct timespec *_Nullable when, int64_t delta);

DISPATCH_ASSUME_NONNULL_END

#endif
