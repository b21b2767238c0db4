// SPDX-License-Identifier: Apache-2.0
#ifndef QEMU_MEMORY_COPY_H
#define QEMU_MEMORY_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// All give 0, or errno. Memory is read, not mapped: what is mapped of a file that another process cuts off ends this
// one.

/// What else goes on while memory is taken.
enum qemu_memory_haste {
    /// Next to nothing: the machine is paused. All processors take part.
    QEMU_MEMORY_ALONE,
    /// A QEMU starts, which needs one of them.
    QEMU_MEMORY_BESIDE_A_START,
};

/// Copies the first `length` bytes of a file that holds a guest's memory to another one, which becomes that long. Pages
/// that hold nothing, and those that were never written, are holes in it: the time does not grow with memory that the
/// guest does not use. One in memory may have data, even another guest's: it has nothing else than the copy afterwards.
/// Gives the checksum of what was copied; where that is NULL, nothing is looked at, and pages that hold nothing but are
/// no holes are copied, too.
int qemu_copy_memory(int from, off_t length, int to, bool has_data, enum qemu_memory_haste haste, uint64_t *checksum);

/// Gives the checksum alone: that of a copy of it.
int qemu_check_memory(int file, off_t length, enum qemu_memory_haste haste, uint64_t *checksum);

#endif
