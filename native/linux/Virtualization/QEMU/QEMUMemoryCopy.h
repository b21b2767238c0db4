// SPDX-License-Identifier: Apache-2.0
#ifndef QEMU_MEMORY_COPY_H
#define QEMU_MEMORY_COPY_H

#include <stddef.h>
#include <sys/types.h>

// Both give 0, or errno.

/// Copies the first `length` bytes of a file that holds a guest's memory to one without data, which becomes that long. Pages
/// that hold nothing, and those that were never written, are holes in it: the time does not grow with memory that the guest
/// does not use.
int qemu_copy_memory(int from, off_t length, int to);

int qemu_write_at(int file, const void *bytes, size_t length, off_t position);

#endif
