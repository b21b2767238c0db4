// SPDX-License-Identifier: Apache-2.0
#include "HostTimeStampCounter.h"
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

static uint64_t kilohertz;

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>

enum { WINDOW_NANOSECONDS = 10 * 1000 * 1000, TRIES = 16 };

static bool counter_runs_at_one_rate(void) {
    unsigned int eax, ebx, ecx, edx;
    // Invariant TSC: Intel SDM volume 3, "Invariant TSC".
    return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) != 0 && (edx & (1U << 8)) != 0;
}

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

typedef struct {
    uint64_t nanoseconds;
    uint64_t ticks;
} reading;

/// Both clocks at one moment: of several tries, the one in which the thread was held up least.
static reading read_both(void) {
    reading best = {0, 0};
    uint64_t narrowest = UINT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = __rdtsc();
        uint64_t now = nanoseconds();
        uint64_t after = __rdtsc();
        if (after - before < narrowest) {
            narrowest = after - before;
            best = (reading){now, before + (after - before) / 2};
        }
    }
    return best;
}

static void measure(void) {
    if (!counter_runs_at_one_rate())
        return;
    reading first = read_both();
    struct timespec window = {.tv_nsec = WINDOW_NANOSECONDS};
    nanosleep(&window, NULL);
    reading second = read_both();
    uint64_t elapsed = second.nanoseconds - first.nanoseconds;
    if (elapsed > 0)
        kilohertz = (uint64_t)((double)(second.ticks - first.ticks) * 1e6 / (double)elapsed + 0.5);
}

#else

static void measure(void) {}

#endif

uint64_t host_time_stamp_counter_kilohertz(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, measure);
    return kilohertz;
}
