// SPDX-License-Identifier: Apache-2.0
#include "QEMUSavedStateFormat.h"

#include <string.h>

static uint64_t mix(uint64_t sum, uint64_t word) {
    // An odd multiplier and a shift are each a bijection: a change of one word always changes the sum.
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
}

uint64_t qemu_saved_state_checksum(const void *bytes, uint64_t length) {
    const char *position = bytes;
    uint64_t sum = 1;
    for (uint64_t left = length; left > 0;) {
        uint64_t word = 0;
        size_t taken = left < sizeof word ? (size_t)left : sizeof word;
        memcpy(&word, position, taken);
        sum = mix(sum, word);
        position += taken;
        left -= taken;
    }
    return sum;
}
