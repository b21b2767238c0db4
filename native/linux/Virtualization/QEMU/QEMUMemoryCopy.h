// SPDX-License-Identifier: Apache-2.0
#ifndef QEMU_MEMORY_COPY_H
#define QEMU_MEMORY_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum qemu_memory_file {
    /// Nobody else can make it shorter: it is mapped, which saves a copy.
    QEMU_MEMORY_OURS,
    /// It has a name: it is read, since what is mapped of a file that another process cuts off ends this one.
    QEMU_MEMORY_NAMED,
};

// All give 0, or errno.

/// Copies the first `length` bytes of a file that holds a guest's memory to one without data, which becomes that long. Pages
/// that hold nothing, and those that were never written, are holes in it: the time does not grow with memory that the guest
/// does not use. Gives the checksum of what was copied; where that is NULL, nothing is looked at, and pages that hold nothing
/// but are no holes are copied, too: about twice as fast.
int qemu_copy_memory(int from, enum qemu_memory_file kind, off_t length, int to, uint64_t *checksum);

/// Gives the checksum alone: that of a copy of it.
int qemu_check_memory(int file, enum qemu_memory_file kind, off_t length, uint64_t *checksum);

int qemu_write_at(int file, const void *bytes, size_t length, off_t position);

/// Fails with EIO at the end of the file.
int qemu_read_at(int file, void *bytes, size_t length, off_t position);

#endif
