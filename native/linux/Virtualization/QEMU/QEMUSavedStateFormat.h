// SPDX-License-Identifier: Apache-2.0
#ifndef QEMU_SAVED_STATE_FORMAT_H
#define QEMU_SAVED_STATE_FORMAT_H

#include <stdint.h>
#include <sys/types.h>

// A saved state is one file:
//
//     the guest's memory    as large as it is, with holes where the guest never wrote; nothing where it is in the stream
//     QEMU's stream         the state of the devices, and the memory of a machine whose memory was a private mapping
//     a description         JSON: the version of QEMU, and what of the configuration has to be the same
//     a trailer
//
// The memory comes first because QEMU maps a file from its beginning, and minds nothing that follows. The trailer comes last
// because it is written last: a file without one is not whole. Numbers are little-endian, as on all hosts that this runs on.

enum { QEMU_SAVED_STATE_VERSION = 3, QEMU_SAVED_STATE_PAGE_LENGTH = 4096 };

typedef struct {
    uint64_t memory_length; // 0, or that of the machine's memory
    uint64_t stream_length;
    uint64_t description_length;
    uint64_t memory_checksum; // the sum of those of its pages, but for pages that hold nothing
    uint64_t stream_checksum;
    uint64_t description_checksum;
    uint64_t trailer_checksum; // of the fields before
    // These two stay where they are, counted from the end, in every version.
    uint64_t version;
    char magic[16];
} qemu_saved_state_trailer;

_Static_assert(sizeof(qemu_saved_state_trailer) == 80, "no padding");

static const char qemu_saved_state_magic[16] = "applevz state\r\n";

/// Against damage, not against malice.
uint64_t qemu_saved_state_checksum(const void *bytes, uint64_t length);

/// The same of a part of a file, without holding more than a little of it. 0 or errno.
int qemu_saved_state_file_checksum(int file, off_t position, uint64_t length, uint64_t *checksum);

/// Of one page: which it is, and what is in it. Those of several pages are added up, in any order. About as fast as memory is
/// read.
uint64_t qemu_saved_state_page_checksum(uint64_t number, const void *page);

#endif
