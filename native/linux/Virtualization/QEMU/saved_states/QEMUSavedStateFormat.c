// SPDX-License-Identifier: Apache-2.0
#include "QEMUSavedStateFormat.h"
#include "support/HostFileTransfer.h"

#include <string.h>

static uint64_t mix(uint64_t sum, uint64_t word) {
    // An odd multiplier and a shift are each a bijection: a change of one word always changes the sum.
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
}

enum { FIRST_SUM = 1 };

/// Only the last part may be of a length that is not a multiple of a word's.
static uint64_t checksum_on(uint64_t sum, const void *bytes, uint64_t length) {
    const char *position = bytes;
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

uint64_t qemu_saved_state_checksum(const void *bytes, uint64_t length) {
    return checksum_on(FIRST_SUM, bytes, length);
}

/// `to` is -1 where it is only read. Goes on with the checksum.
static int take_part(int from, off_t from_position, uint64_t length, int to, off_t to_position, uint64_t *checksum) {
    char bytes[16 * 1024];
    while (length > 0) {
        size_t part = length < sizeof bytes ? (size_t)length : sizeof bytes;
        int failure = host_read_at(from, bytes, part, from_position);
        if (failure == 0 && to >= 0)
            failure = host_write_at(to, bytes, part, to_position);
        if (failure != 0)
            return failure;
        *checksum = checksum_on(*checksum, bytes, part);
        from_position += (off_t)part;
        to_position += (off_t)part;
        length -= part;
    }
    return 0;
}

int qemu_saved_state_file_checksum(int file, off_t position, uint64_t length, uint64_t *checksum) {
    *checksum = FIRST_SUM;
    return take_part(file, position, length, -1, 0, checksum);
}

int qemu_saved_state_file_checksum_on(int file, off_t position, uint64_t length, uint64_t *checksum) {
    return take_part(file, position, length, -1, 0, checksum);
}

int qemu_saved_state_copy(int from, uint64_t length, int to, off_t position, uint64_t *checksum) {
    *checksum = FIRST_SUM;
    return take_part(from, 0, length, to, position, checksum);
}

uint64_t qemu_saved_state_page_checksum(uint64_t number, const void *page) {
    // Lanes that do not wait for each other: a processor multiplies in every cycle, but takes several for each product.
    enum { LANES = 4 };
    uint64_t lanes[LANES] = {1, 2, 3, 4};
    const char *end = (const char *)page + QEMU_SAVED_STATE_PAGE_LENGTH;
    for (const char *position = page; position < end; position += sizeof lanes) {
        uint64_t words[LANES];
        memcpy(words, position, sizeof words);
        for (int i = 0; i < LANES; i++)
            lanes[i] = mix(lanes[i], words[i]);
    }
    uint64_t sum = mix(FIRST_SUM, number);
    for (int i = 0; i < LANES; i++)
        sum = mix(sum, lanes[i]);
    return sum;
}
