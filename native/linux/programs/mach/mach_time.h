// SPDX-License-Identifier: Apache-2.0
// <mach/mach_time.h>: the clocks of macOS, in nanoseconds.
#ifndef APPLEVZ_MACH_TIME_H
#define APPLEVZ_MACH_TIME_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

typedef int kern_return_t;
#ifndef KERN_SUCCESS
#define KERN_SUCCESS 0
#define KERN_INVALID_ARGUMENT 4
#endif

struct mach_timebase_info {
    uint32_t numer;
    uint32_t denom;
};
typedef struct mach_timebase_info *mach_timebase_info_t;
typedef struct mach_timebase_info mach_timebase_info_data_t;

static inline kern_return_t mach_timebase_info(mach_timebase_info_t info) {
    if (!info)
        return KERN_INVALID_ARGUMENT;
    info->numer = info->denom = 1;
    return KERN_SUCCESS;
}

static inline uint64_t _mach_time_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Stands still while the host sleeps. */
static inline uint64_t mach_absolute_time(void) {
    return _mach_time_of(CLOCK_MONOTONIC);
}

static inline uint64_t mach_approximate_time(void) {
    return _mach_time_of(CLOCK_MONOTONIC_COARSE);
}

/* Goes on while the host sleeps. */
static inline uint64_t mach_continuous_time(void) {
    return _mach_time_of(CLOCK_BOOTTIME);
}

/* Of macOS' <time.h>, whose clocks that stand still while the host sleeps are Linux' monotonic one. */
#define CLOCK_UPTIME_RAW CLOCK_MONOTONIC
#define CLOCK_UPTIME_RAW_APPROX CLOCK_MONOTONIC_COARSE

static inline uint64_t clock_gettime_nsec_np(clockid_t clock) {
    return _mach_time_of(clock);
}

static inline kern_return_t mach_wait_until(uint64_t deadline) {
    struct timespec when;
    when.tv_sec = (time_t)(deadline / 1000000000);
    when.tv_nsec = (long)(deadline % 1000000000);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, 0) == EINTR) {
    }
    return KERN_SUCCESS;
}

#endif
