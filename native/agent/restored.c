// SPDX-License-Identifier: Apache-2.0
// A guest that goes on from a saved state has the clock of then, and the same random numbers to come as each other
// guest that goes on from it.

#include "agent.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { RANDOM_BYTES = 32, RESTORED_LENGTH = 12 + RANDOM_BYTES, BILLION = 1000000000 };

// Linux's random.h, which musl does not bring.
struct entropy {
    int bits;
    int size;
    uint8_t bytes[RANDOM_BYTES];
};

#define ADD_ENTROPY _IOW('R', 0x03, int[2])
#define RESEED _IO('R', 0x07)

/// The kernel makes its next random numbers of what the host gives, and of what it had.
static void take_entropy(const uint8_t *bytes) {
    int random = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    if (random < 0) {
        return;
    }
    struct entropy entropy = {.bits = 8 * RANDOM_BYTES, .size = RANDOM_BYTES};
    memcpy(entropy.bytes, bytes, RANDOM_BYTES);
    if (ioctl(random, ADD_ENTROPY, &entropy) == 0) {
        ioctl(random, RESEED);
    }
    close(random);
}

void restored_take(const struct agent *agent, const struct frame *frame) {
    if (frame->length != RESTORED_LENGTH) {
        return;
    }
    uint64_t seconds = get64(frame->payload);
    uint32_t nanoseconds = get32(frame->payload + 8);
    follow_root(agent);
    if (seconds <= INT64_MAX && nanoseconds < BILLION) {
        struct timespec now = {.tv_sec = (time_t)seconds, .tv_nsec = (long)nanoseconds};
        // An agent without the right to it leaves the clock as it is.
        (void)clock_settime(CLOCK_REALTIME, &now);
    }
    take_entropy(frame->payload + 12);
}
