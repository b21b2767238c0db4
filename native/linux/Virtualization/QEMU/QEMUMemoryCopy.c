// SPDX-License-Identifier: Apache-2.0
#include "QEMUMemoryCopy.h"
#include "QEMUSavedStateFormat.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    // How much is mapped at a time: what is read once need not stay mapped.
    MAPPED_LENGTH = 16 * 1024 * 1024,
    // How much is read at a time: what stays in the processor's cache until it is written.
    READ_LENGTH = 256 * 1024,
    PAGE_LENGTH = QEMU_SAVED_STATE_PAGE_LENGTH,
};

typedef struct {
    int from;
    enum qemu_memory_file kind;
    int to; // -1: nowhere
    uint64_t checksum;
    char *buffer; // of READ_LENGTH, for a file that is read
} memory_walk;

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

int qemu_read_at(int file, void *bytes, size_t length, off_t position) {
    char *next = bytes;
    while (length > 0) {
        ssize_t count = pread(file, next, length, position);
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
static int take_pages(memory_walk *walk, const char *bytes, size_t length, off_t position) {
    size_t start = 0;
    for (size_t end = 0; end <= length; end += PAGE_LENGTH) {
        if (end < length && !is_zero(bytes + end, PAGE_LENGTH)) {
            uint64_t number = (uint64_t)(position + (off_t)end) / PAGE_LENGTH;
            walk->checksum = qemu_saved_state_page_checksum(walk->checksum, number, bytes + end);
            continue;
        }
        if (start < end && walk->to >= 0) {
            int failure = qemu_write_at(walk->to, bytes + start, end - start, position + (off_t)start);
            if (failure != 0)
                return failure;
        }
        start = end + PAGE_LENGTH;
    }
    return 0;
}

static int take_range(memory_walk *walk, off_t start, off_t end) {
    bool mapped = walk->kind == QEMU_MEMORY_OURS;
    const size_t part = mapped ? MAPPED_LENGTH : READ_LENGTH;
    while (start < end) {
        off_t left = end - start;
        size_t length = left < (off_t)part ? (size_t)left : part;
        char *bytes = walk->buffer;
        int failure = 0;
        if (!mapped)
            failure = qemu_read_at(walk->from, bytes, length, start);
        else if ((bytes = mmap(NULL, length, PROT_READ, MAP_SHARED | MAP_POPULATE, walk->from, start)) == MAP_FAILED)
            return errno;
        if (failure == 0)
            failure = take_pages(walk, bytes, length, start);
        if (mapped)
            munmap(bytes, length);
        if (failure != 0)
            return failure;
        start += (off_t)length;
    }
    return 0;
}

static int take_data(memory_walk *walk, off_t length) {
    // A file system may tell of holes in smaller pieces than can be mapped.
    off_t page = sysconf(_SC_PAGESIZE);
    off_t end = 0;
    while (end < length) {
        off_t start = lseek(walk->from, end, SEEK_DATA);
        if (start < 0)
            return errno == ENXIO ? 0 : errno;
        if (start >= length)
            return 0;
        start = start / page * page;
        end = lseek(walk->from, start, SEEK_HOLE);
        if (end < 0)
            return errno;
        end = (end + page - 1) / page * page;
        int failure = take_range(walk, start, end < length ? end : length);
        if (failure != 0)
            return failure;
    }
    return 0;
}

static int take_memory(int from, enum qemu_memory_file kind, off_t length, int to, uint64_t *checksum) {
    memory_walk walk = {.from = from, .kind = kind, .to = to};
    if (kind == QEMU_MEMORY_NAMED && (walk.buffer = malloc(READ_LENGTH)) == NULL)
        return ENOMEM;
    int failure = take_data(&walk, length);
    free(walk.buffer);
    *checksum = walk.checksum;
    return failure;
}

int qemu_copy_memory(int from, enum qemu_memory_file kind, off_t length, int to, uint64_t *checksum) {
    if (ftruncate(to, length) != 0)
        return errno;
    return take_memory(from, kind, length, to, checksum);
}

int qemu_check_memory(int file, enum qemu_memory_file kind, off_t length, uint64_t *checksum) {
    return take_memory(file, kind, length, -1, checksum);
}
