// SPDX-License-Identifier: Apache-2.0
#include "QEMUOverlayCopy.h"
#include "QEMUSavedStateFormat.h"
#include "support/HostFileTransfer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = QEMU_SAVED_STATE_PAGE_LENGTH, PART = 1 << 20 };

typedef struct {
    int from;
    off_t position;
    int to;
    off_t to_position;
    bool looks; // at what it copies
    uint64_t checksum;
    char *bytes;
} overlay_copy;

static bool is_empty(const char *page) {
    uint64_t first;
    memcpy(&first, page, sizeof first);
    return first == 0 && memcmp(page, page + sizeof first, PAGE - sizeof first) == 0;
}

static int write_pages(overlay_copy *copy, uint64_t start, uint64_t end, uint64_t part, uint64_t length) {
    if (copy->to < 0 || start == end)
        return 0;
    // What was filled up behind the end is no part of it.
    uint64_t limit = end > length ? length : end;
    return host_write_at(copy->to, copy->bytes + (start - part), (size_t)(limit - start),
                         copy->to_position + (off_t)start);
}

/// Pages that hold something, one after the other, are written together.
static int take_part(overlay_copy *copy, uint64_t start, uint64_t end, uint64_t length) {
    int failure = host_read_at(copy->from, copy->bytes, (size_t)(end - start), copy->position + (off_t)start);
    memset(copy->bytes + (end - start), 0, (size_t)(PAGE - (end - start) % PAGE) % PAGE);
    uint64_t first = start;
    uint64_t page = start;
    for (; failure == 0 && page < end; page += PAGE) {
        const char *bytes = copy->bytes + (page - start);
        if (is_empty(bytes)) {
            failure = write_pages(copy, first, page, start, length);
            first = page + PAGE;
        } else {
            copy->checksum += qemu_saved_state_page_checksum(page / PAGE, bytes);
        }
    }
    return failure != 0 || first >= page ? failure : write_pages(copy, first, page, start, length);
}

/// Lets the system copy, which some file systems do by sharing. What it leaves is copied here.
static uint64_t hand_over(const overlay_copy *copy, uint64_t start, uint64_t end) {
    while (!copy->looks && start < end) {
        off_t from = copy->position + (off_t)start, to = copy->to_position + (off_t)start;
        ssize_t count = copy_file_range(copy->from, &from, copy->to, &to, (size_t)(end - start), 0);
        if (count <= 0)
            break;
        start += (uint64_t)count;
    }
    // The rest begins with a page.
    return start < end ? start / PAGE * PAGE : end;
}

/// From a page on.
static int take_all(overlay_copy *copy, uint64_t first, uint64_t length) {
    for (uint64_t end = first; end < length;) {
        off_t found = lseek(copy->from, copy->position + (off_t)end, SEEK_DATA);
        if (found < 0)
            return errno == ENXIO ? 0 : errno;
        uint64_t start = (uint64_t)(found - copy->position) / PAGE * PAGE;
        if (start >= length)
            return 0;
        found = lseek(copy->from, found, SEEK_HOLE);
        if (found < 0)
            return errno;
        end = ((uint64_t)(found - copy->position) + PAGE - 1) / PAGE * PAGE;
        end = end < length ? end : length;
        for (start = hand_over(copy, start, end); start < end; start += PART) {
            int failure = take_part(copy, start, start + PART < end ? start + PART : end, length);
            if (failure != 0)
                return failure;
        }
    }
    return 0;
}

int qemu_copy_overlay(int from, off_t position, uint64_t length, int to, off_t to_position, uint64_t *checksum) {
    off_t size = lseek(from, 0, SEEK_END);
    if (size < position || (uint64_t)(size - position) < length)
        return size < 0 ? errno : EIO;
    // The bytes are read into whole pages.
    overlay_copy copy = {from, position, to, to_position, checksum != NULL, 0, malloc(PART + PAGE)};
    if (copy.bytes == NULL)
        return ENOMEM;
    int failure = take_all(&copy, 0, length);
    free(copy.bytes);
    if (checksum != NULL)
        *checksum = copy.checksum;
    return failure;
}

int qemu_check_pages(int file, off_t position, uint64_t length, uint64_t *done, uint64_t most, uint64_t *checksum) {
    off_t found = lseek(file, position + (off_t)*done, SEEK_DATA);
    if (found < 0 && errno != ENXIO)
        return errno;
    // What follows may be another part's.
    uint64_t start = found < 0 ? length : (uint64_t)(found - position) / PAGE * PAGE;
    if (start >= length) {
        *done = length;
        return 0;
    }
    overlay_copy copy = {file, position, -1, 0, true, *checksum, malloc(PART + PAGE)};
    if (copy.bytes == NULL)
        return ENOMEM;
    uint64_t end = most < length - start ? start + most : length;
    int failure = take_all(&copy, start, end);
    free(copy.bytes);
    *checksum = copy.checksum;
    *done = end;
    return failure;
}
