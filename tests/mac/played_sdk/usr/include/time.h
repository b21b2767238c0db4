// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

struct timespec {
    time_t tv_sec;
    long tv_nsec;
};

typedef enum { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 6 } clockid_t;

time_t time(time_t *now);
int clock_gettime(clockid_t clock, struct timespec *time);
