// SPDX-License-Identifier: Apache-2.0
#include "QEMUMemoryCopy.h"
#include "QEMUSavedStateFormat.h"
#include "support/HostFileTransfer.h"

#include <dispatch/dispatch.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    // What one thread takes at a time: it stays in the processor's cache until it is written.
    PART_LENGTH = 256 * 1024,
    PAGE_LENGTH = QEMU_SAVED_STATE_PAGE_LENGTH,
};

typedef struct {
    off_t start, end;
} memory_part;

/// What several threads do part by part.
typedef struct {
    int from;
    bool looks;    // at what it copies: for pages that hold nothing, and for the checksum
    int to;        // -1: nowhere
    bool reserves; // room in `to`, before it writes there
    bool clears;   // what `to` has where nothing is to be
    memory_part *parts;
    size_t count, room;
    _Atomic(size_t) next;
    _Atomic(uint64_t) checksum;
    _Atomic(int) failure; // the first one: the parts that are left are not looked at any more
} memory_walk;

static bool is_zero(const char *bytes, size_t length) {
    // Equal to itself one byte on, and the first is zero.
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static int write_part(memory_walk *walk, const char *bytes, size_t length, off_t position) {
    // Where there is no room, writing says so as well.
    if (walk->reserves)
        fallocate(walk->to, 0, position, (off_t)length);
    return host_write_at(walk->to, bytes, length, position);
}

static int clear_range(memory_walk *walk, off_t start, off_t end) {
    if (!walk->clears || start == end)
        return 0;
    return fallocate(walk->to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, end - start) == 0 ? 0 : errno;
}

/// Writes the pages that hold something, and clears the others, as many at a time as stand together. They are whole:
/// guests' memory is.
static int take_pages(memory_walk *walk, const char *bytes, size_t length, off_t position) {
    size_t start = 0;
    uint64_t checksum = 0;
    // From `start` on all pages are of one kind.
    bool holds = false;
    for (size_t end = 0; end <= length; end += PAGE_LENGTH) {
        bool next = end < length && !is_zero(bytes + end, PAGE_LENGTH);
        if (next) {
            uint64_t number = (uint64_t)(position + (off_t)end) / PAGE_LENGTH;
            checksum += qemu_saved_state_page_checksum(number, bytes + end);
        }
        if (next == holds && end < length)
            continue;
        off_t begin = position + (off_t)start;
        int failure = !holds          ? clear_range(walk, begin, position + (off_t)end)
                      : walk->to >= 0 ? write_part(walk, bytes + start, end - start, begin)
                                      : 0;
        if (failure != 0)
            return failure;
        start = end;
        holds = next;
    }
    atomic_fetch_add_explicit(&walk->checksum, checksum, memory_order_relaxed);
    return 0;
}

static int take_part(memory_walk *walk, memory_part part, char *bytes) {
    size_t length = (size_t)(part.end - part.start);
    int failure = host_read_at(walk->from, bytes, length, part.start);
    if (failure != 0)
        return failure;
    return walk->looks ? take_pages(walk, bytes, length, part.start) : write_part(walk, bytes, length, part.start);
}

static int add_range(memory_walk *walk, off_t start, off_t end) {
    for (; start < end; start += PART_LENGTH) {
        if (walk->count == walk->room) {
            size_t room = walk->room == 0 ? 64 : 2 * walk->room;
            memory_part *parts = realloc(walk->parts, room * sizeof *parts);
            if (parts == NULL)
                return ENOMEM;
            walk->parts = parts;
            walk->room = room;
        }
        off_t limit = start + PART_LENGTH;
        walk->parts[walk->count++] = (memory_part){start, limit < end ? limit : end};
    }
    return 0;
}

static int find_data(memory_walk *walk, off_t length) {
    // A file system may tell of holes in smaller pieces than pages, which are taken whole.
    off_t page = sysconf(_SC_PAGESIZE);
    off_t end = 0;
    while (end < length) {
        off_t start = lseek(walk->from, end, SEEK_DATA);
        if (start < 0 && errno != ENXIO)
            return errno;
        start = start < 0 || start > length ? length : start / page * page;
        int failure = clear_range(walk, end, start);
        if (failure != 0 || start == length)
            return failure;
        end = lseek(walk->from, start, SEEK_HOLE);
        if (end < 0)
            return errno;
        end = (end + page - 1) / page * page;
        end = end < length ? end : length;
        failure = add_range(walk, start, end);
        if (failure != 0)
            return failure;
    }
    return 0;
}

/// One of several who share the parts out among them.
static void take_parts(void *context, size_t number) {
    (void)number;
    memory_walk *walk = context;
    // The kernel copies to the start of a page two to three times as fast as to elsewhere, on some processors.
    char *bytes = aligned_alloc(PAGE_LENGTH, PART_LENGTH);
    size_t index;
    while (walk->failure == 0 && (index = atomic_fetch_add(&walk->next, 1)) < walk->count) {
        int failure = bytes != NULL ? take_part(walk, walk->parts[index], bytes) : ENOMEM;
        int none = 0;
        if (failure != 0)
            atomic_compare_exchange_strong(&walk->failure, &none, failure);
    }
    free(bytes);
}

static size_t thread_count(enum qemu_memory_haste haste) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (haste == QEMU_MEMORY_BESIDE_A_START)
        processors--;
    return processors > 1 ? (size_t)processors : 1;
}

/// ext4 looks for room page by page while it is written to, a third of the time that writing takes, but for what is
/// reserved in one piece. Others do not, and tmpfs would write the pages twice.
static bool takes_reservations(int file) {
    struct statfs system;
    return fstatfs(file, &system) == 0 && system.f_type == EXT4_SUPER_MAGIC;
}

static int take_memory(int from, off_t length, int to, bool clears, enum qemu_memory_haste haste, uint64_t *checksum) {
    memory_walk walk = {
        .from = from,
        .looks = checksum != NULL,
        .to = to,
        .reserves = to >= 0 && takes_reservations(to),
        .clears = clears,
    };
    int failure = find_data(&walk, length);
    if (failure == 0) {
        dispatch_apply_f(thread_count(haste), dispatch_get_global_queue(QOS_CLASS_DEFAULT, 0), &walk, take_parts);
        failure = walk.failure;
    }
    free(walk.parts);
    if (checksum != NULL)
        *checksum = walk.checksum;
    return failure;
}

int qemu_copy_memory(int from, off_t length, int to, bool has_data, enum qemu_memory_haste haste, uint64_t *checksum) {
    if (ftruncate(to, length) != 0)
        return errno;
    return take_memory(from, length, to, has_data, haste, checksum);
}

int qemu_check_memory(int file, off_t length, enum qemu_memory_haste haste, uint64_t *checksum) {
    return take_memory(file, length, -1, false, haste, checksum);
}
