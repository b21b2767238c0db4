// SPDX-License-Identifier: Apache-2.0
#ifndef QEMU_OVERLAY_COPY_H
#define QEMU_OVERLAY_COPY_H

#include <stdint.h>
#include <sys/types.h>

/// Copies a part of a file to a place in another one, without data there, and gives its checksum; `to` is -1 where it
/// is only read. Holes, and pages that hold nothing, are holes in the copy: the time goes with what an overlay holds.
/// The part begins with a page in both files, and may end within one. Where the checksum is NULL nothing is looked at,
/// and the system may share what it can. 0 or errno; EIO where the file ends before.
int qemu_copy_overlay(int from, off_t position, uint64_t length, int to, off_t to_position, uint64_t *checksum);

/// Goes on with the checksum of a part of a file, which is that of an overlay or of a guest's memory: from `done` bytes
/// on, which is 0 or what the call before gave, past a hole and over at most so many bytes, a multiple of a page's. 0
/// or errno.
int qemu_check_pages(int file, off_t position, uint64_t length, uint64_t *done, uint64_t most, uint64_t *checksum);

#endif
