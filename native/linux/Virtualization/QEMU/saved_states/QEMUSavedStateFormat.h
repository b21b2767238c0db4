// SPDX-License-Identifier: Apache-2.0
#ifndef QEMU_SAVED_STATE_FORMAT_H
#define QEMU_SAVED_STATE_FORMAT_H

#include <stdint.h>
#include <sys/types.h>

// A saved state is one file:
//
//     the guest's memory    as large as it is, with holes where the guest never wrote; nothing if it is in the stream
//     disks                 of each disk that the state holds the overlays, each with holes where nothing differs
//     QEMU's stream         the state of the devices, and a memory that was a private mapping
//     a description         JSON: the version of QEMU, what of the configuration has to be the same, where the
//                           overlays are, and what QEMUStateDescription.h makes
//     a trailer
//
// The memory comes first because QEMU maps a file from its beginning, and minds nothing that follows. The trailer comes
// last because it is written last: a file without one is not whole. Numbers are little-endian, as on all hosts that
// this runs on.

enum { QEMU_SAVED_STATE_VERSION = 5, QEMU_SAVED_STATE_PAGE_LENGTH = 4096 };

typedef struct {
    uint64_t memory_length; // 0, or that of the machine's memory
    uint64_t stream_length;
    uint64_t description_length;
    uint64_t memory_checksum; // the sum of those of its pages, but for pages that hold nothing
    uint64_t stream_checksum;
    uint64_t description_checksum;
    uint64_t disks_length;     // of whole pages
    uint64_t trailer_checksum; // of the fields before
    // These two stay where they are, counted from the end, in every version.
    uint64_t version;
    char magic[16];
} qemu_saved_state_trailer;

_Static_assert(sizeof(qemu_saved_state_trailer) == 88, "no padding");

static const char qemu_saved_state_magic[16] = "applevz state\r\n";

/// Against damage, not against malice.
uint64_t qemu_saved_state_checksum(const void *bytes, uint64_t length);

/// The same of a part of a file, without holding more than a little of it. 0 or errno.
int qemu_saved_state_file_checksum(int file, off_t position, uint64_t length, uint64_t *checksum);

/// Goes on with a checksum, from that of what came before, a multiple of 8 bytes. That of nothing is the first.
int qemu_saved_state_file_checksum_on(int file, off_t position, uint64_t length, uint64_t *checksum);

/// The same of the beginning of a file, which is copied to a place in another one. It is read, not mapped, and may be
/// cut off meanwhile: EIO. 0 or errno.
int qemu_saved_state_copy(int from, uint64_t length, int to, off_t position, uint64_t *checksum);

/// So long may the stream be of a machine whose memory has that size: all that the devices of one can say, and the
/// memory where it is in the stream. What is longer is no state; a file without data can claim any length.
static inline uint64_t qemu_saved_state_longest_stream(uint64_t memory_size, uint64_t memory_length) {
    return (UINT64_C(1) << 30) + (memory_length == 0 ? memory_size + memory_size / 8 : 0);
}

/// Of one page: which it is, and what is in it. Those of several pages are added up, in any order. About as fast as
/// memory is read.
uint64_t qemu_saved_state_page_checksum(uint64_t number, const void *page);

#endif
