// SPDX-License-Identifier: Apache-2.0
#include "QEMUMemoryCopy.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    // How much is mapped at a time: what is read once need not stay mapped.
    PART_LENGTH = 16 * 1024 * 1024,
    PAGE_LENGTH = 4096,
};

int qemu_write_at(int file, const void *bytes, size_t length, off_t position) {
    const char *next = bytes;
    while (length > 0) {
        ssize_t count = pwrite(file, next, length, position);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : EIO;
        next += count;
        length -= (size_t)count;
        position += count;
    }
    return 0;
}

static bool is_zero(const char *bytes, size_t length) {
    // Equal to itself one byte on, and the first is zero.
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/// Writes the pages that hold something, as many at a time as stand together. They are whole: guests' memory is.
static int write_pages(const char *bytes, size_t length, int to, off_t position) {
    size_t start = 0;
    for (size_t end = 0; end <= length; end += PAGE_LENGTH) {
        if (end < length && !is_zero(bytes + end, PAGE_LENGTH))
            continue;
        if (start < end) {
            int failure = qemu_write_at(to, bytes + start, end - start, position + (off_t)start);
            if (failure != 0)
                return failure;
        }
        start = end + PAGE_LENGTH;
    }
    return 0;
}

/// The pages are in memory mostly, and mapping them saves a copy. No file system copies from a file in memory to another
/// by itself.
static int copy_range(int from, off_t start, off_t end, int to) {
    while (start < end) {
        off_t left = end - start;
        size_t length = left < PART_LENGTH ? (size_t)left : PART_LENGTH;
        void *bytes = mmap(NULL, length, PROT_READ, MAP_SHARED | MAP_POPULATE, from, start);
        if (bytes == MAP_FAILED)
            return errno;
        int failure = write_pages(bytes, length, to, start);
        munmap(bytes, length);
        if (failure != 0)
            return failure;
        start += (off_t)length;
    }
    return 0;
}

int qemu_copy_memory(int from, off_t length, int to) {
    if (ftruncate(to, length) != 0)
        return errno;
    // A file system may tell of holes in smaller pieces than can be mapped.
    off_t page = sysconf(_SC_PAGESIZE);
    off_t end = 0;
    while (end < length) {
        off_t start = lseek(from, end, SEEK_DATA);
        if (start < 0)
            return errno == ENXIO ? 0 : errno;
        if (start >= length)
            return 0;
        start = start / page * page;
        end = lseek(from, start, SEEK_HOLE);
        if (end < 0)
            return errno;
        end = (end + page - 1) / page * page;
        int failure = copy_range(from, start, end < length ? end : length, to);
        if (failure != 0)
            return failure;
    }
    return 0;
}
