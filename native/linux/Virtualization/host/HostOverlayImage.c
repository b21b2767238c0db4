// SPDX-License-Identifier: Apache-2.0
#include "HostOverlayImage.h"
#include "support/HostFileTransfer.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

// The layout is that of QEMU's docs/interop/qcow2.txt. Numbers are big-endian.

enum {
    CLUSTER_BITS = 16,
    CLUSTER = 1 << CLUSTER_BITS,
    SECTOR = 512,
    MAGIC = 0x514649fb, // "QFI\xfb"
    VERSION = 3,
    REFERENCE_COUNT_ORDER = 4, // 16 bits each
    L1_ENTRY = 8,
    REFERENCE_TABLE = 1, // the cluster with that number
    REFERENCE_BLOCK = 2,
    L1_TABLE = 3,
    // Of each kind, QEMU has no more either.
    LONGEST_L1_TABLE = 32 << 20,
    LONGEST_REFERENCE_TABLE = 8 << 20,
    END_OF_EXTENSIONS = 0,
    FEATURE_NAMES = 0x6803f857, // which QEMU adds
    BASE_EXTENSION = 0x617a6273,
    // The first bytes, in which all extensions are.
    HEAD = 4096,
};

// With subclusters an entry has 16 bytes.
static const uint64_t bytes_of_l1_entry = (uint64_t)(CLUSTER / 16) * CLUSTER;

static const uint64_t corrupt = UINT64_C(1) << 1, extended_l2 = UINT64_C(1) << 4;

typedef struct {
    uint32_t magic;
    uint32_t version;
    uint64_t backing_name_position;
    uint32_t backing_name_length;
    uint32_t cluster_bits;
    uint64_t size;
    uint32_t encryption;
    uint32_t l1_count;
    uint64_t l1_position;
    uint64_t reference_table_position;
    uint32_t reference_table_clusters;
    uint32_t snapshot_count;
    uint64_t snapshots_position;
    uint64_t incompatible_features;
    uint64_t compatible_features;
    uint64_t autoclear_features;
    uint32_t reference_count_order;
    uint32_t header_length;
    uint8_t compression;
    uint8_t padding[7];
} header;

_Static_assert(sizeof(header) == 112, "no padding");

typedef struct {
    uint32_t type;
    uint32_t length;
} extension;

typedef struct {
    extension extension;
    uint64_t size;
    uint64_t written_seconds;
    uint64_t written_nanoseconds;
    uint64_t sample;
    // Of the overlay itself: two that were made at once are two bases, though nothing differs in them.
    uint64_t number;
} base_extension;

_Static_assert(sizeof(base_extension) == 48, "no padding");

static uint64_t l1_count_of(uint64_t size) {
    return size / bytes_of_l1_entry + (size % bytes_of_l1_entry != 0);
}

uint64_t host_overlay_shortest(uint64_t size) {
    return (L1_TABLE + (l1_count_of(size) * L1_ENTRY + CLUSTER - 1) / CLUSTER) * CLUSTER;
}

uint64_t host_overlay_longest(uint64_t size) {
    return size + size / 8 + (UINT64_C(64) << 20);
}

uint64_t host_overlay_used(int file, uint64_t size) {
    struct stat status;
    if (fstat(file, &status) != 0)
        return 0;
    uint64_t length = (uint64_t)status.st_size, end = 0;
    for (off_t data = 0; (data = lseek(file, data, SEEK_DATA)) >= 0;) {
        data = lseek(file, data, SEEK_HOLE);
        if (data < 0)
            return length;
        end = (uint64_t)data;
    }
    // A file system that knows no holes says EINVAL; ENXIO is the end.
    if (errno != ENXIO)
        return length;
    end = (end + CLUSTER - 1) / CLUSTER * CLUSTER;
    // The first tables are empty, and may be holes.
    uint64_t shortest = host_overlay_shortest(size);
    end = end > shortest ? end : shortest;
    return end < length ? end : length;
}

uint64_t host_overlay_room(uint64_t wanted, uint64_t size) {
    return wanted < host_overlay_longest(size) ? wanted / CLUSTER * CLUSTER : 0;
}

int host_overlay_limit(int file, uint64_t room) {
    struct stat status;
    if (fstat(file, &status) != 0)
        return errno;
    if ((uint64_t)status.st_size > room)
        return EFBIG;
    return ftruncate(file, (off_t)room) == 0 ? 0 : errno;
}

int host_overlay_write(int file, uint64_t size, const host_overlay_base *base) {
    uint64_t count = l1_count_of(size);
    if (size == 0 || size % SECTOR != 0 || size < base->size)
        return EINVAL;
    if (count > LONGEST_L1_TABLE / L1_ENTRY)
        return EFBIG;
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return errno;
    struct {
        header header;
        base_extension base;
        extension end;
    } head = {
        .header =
            {
                .magic = htobe32(MAGIC),
                .version = htobe32(VERSION),
                .cluster_bits = htobe32(CLUSTER_BITS),
                .size = htobe64(size),
                .l1_count = htobe32((uint32_t)count),
                .l1_position = htobe64((uint64_t)L1_TABLE * CLUSTER),
                .reference_table_position = htobe64((uint64_t)REFERENCE_TABLE * CLUSTER),
                .reference_table_clusters = htobe32(1),
                .incompatible_features = htobe64(extended_l2),
                .reference_count_order = htobe32(REFERENCE_COUNT_ORDER),
                .header_length = htobe32(sizeof(header)),
            },
        .base =
            {
                .extension = {htobe32(BASE_EXTENSION), htobe32(sizeof(base_extension) - sizeof(extension))},
                .size = htobe64(base->size),
                .written_seconds = htobe64((uint64_t)base->written_seconds),
                .written_nanoseconds = htobe64(base->written_nanoseconds),
                .sample = htobe64(base->sample),
                .number = number,
            },
    };
    // What is used so far: a cluster for each of the three before the table, and those of the table.
    uint16_t counts[L1_TABLE + LONGEST_L1_TABLE / CLUSTER];
    uint64_t used = host_overlay_shortest(size) / CLUSTER;
    for (uint64_t i = 0; i < used; i++)
        counts[i] = htobe16(1);
    uint64_t block = htobe64((uint64_t)REFERENCE_BLOCK * CLUSTER);
    int failure = ftruncate(file, (off_t)(used * CLUSTER)) == 0 ? 0 : errno;
    if (failure == 0)
        failure = host_write_at(file, counts, used * sizeof counts[0], (off_t)REFERENCE_BLOCK * CLUSTER);
    if (failure == 0)
        failure = host_write_at(file, &block, sizeof block, (off_t)REFERENCE_TABLE * CLUSTER);
    return failure != 0 ? failure : host_write_at(file, &head, sizeof head, 0);
}

/// What is wrong with the fields of a header, of an image that has that length.
static const char *wrong_with_header(const header *head, uint64_t length) {
    if (be32toh(head->magic) != MAGIC)
        return "is no overlay: it does not begin as one";
    if (be32toh(head->version) != VERSION)
        return "is an overlay of a version of qcow2 that is not known here";
    if (head->backing_name_position != 0 || head->backing_name_length != 0)
        return "names a base of its own, as no overlay does that was made here";
    uint64_t features = be64toh(head->incompatible_features);
    if ((features & corrupt) != 0)
        return "is damaged: QEMU found it so and marked it";
    if (features != extended_l2 || head->compatible_features != 0 || head->autoclear_features != 0 ||
        head->encryption != 0 || head->compression != 0 || head->snapshot_count != 0)
        return "has features of qcow2 that no overlay has that was made here";
    if (be32toh(head->cluster_bits) != CLUSTER_BITS || be32toh(head->reference_count_order) != REFERENCE_COUNT_ORDER ||
        be32toh(head->header_length) != sizeof *head)
        return "has not the form of an overlay that was made here";
    uint64_t size = be64toh(head->size), count = be32toh(head->l1_count);
    uint64_t l1_position = be64toh(head->l1_position), table_position = be64toh(head->reference_table_position);
    uint64_t table_length = (uint64_t)be32toh(head->reference_table_clusters) * CLUSTER;
    if (size == 0 || size % SECTOR != 0 || count < l1_count_of(size) || count > LONGEST_L1_TABLE / L1_ENTRY ||
        table_length == 0 || table_length > LONGEST_REFERENCE_TABLE)
        return "is damaged: it tells of sizes that no overlay has";
    if (l1_position % CLUSTER != 0 || l1_position == 0 || l1_position > length ||
        count * L1_ENTRY > length - l1_position || table_position % CLUSTER != 0 || table_position == 0 ||
        table_position > length || table_length > length - table_position)
        return "is damaged: it is shorter than it was";
    return NULL;
}

/// Finds what it says of its base behind the header.
static const char *find_base(const char *bytes, size_t length, host_overlay_base *base) {
    static const char *const damaged = "is damaged: it does not say what its base is";
    int found = 0;
    for (size_t position = sizeof(header); position + sizeof(extension) <= length;) {
        extension next;
        memcpy(&next, bytes + position, sizeof next);
        uint32_t type = be32toh(next.type), taken = be32toh(next.length);
        if (type == END_OF_EXTENSIONS)
            return found == 1 ? NULL : damaged;
        if (taken > length - position - sizeof next)
            return damaged;
        if (type == BASE_EXTENSION) {
            base_extension said;
            if (taken != sizeof said - sizeof next)
                return damaged;
            memcpy(&said, bytes + position, sizeof said);
            base->size = be64toh(said.size);
            base->written_seconds = (int64_t)be64toh(said.written_seconds);
            base->written_nanoseconds = be64toh(said.written_nanoseconds);
            base->sample = be64toh(said.sample);
            found++;
        } else if (type != FEATURE_NAMES) {
            return "has features of qcow2 that no overlay has that was made here";
        }
        position += sizeof next + (taken + 7) / 8 * 8;
    }
    return damaged;
}

const char *host_overlay_read(int file, off_t position, uint64_t length, uint64_t *size, host_overlay_base *base) {
    union {
        header header;
        char bytes[HEAD];
    } head;
    if (length < sizeof head)
        return "is no overlay: it is too short for one";
    if (host_read_at(file, head.bytes, sizeof head, position) != 0)
        return "cannot be read";
    host_overlay_base said;
    const char *wrong = wrong_with_header(&head.header, length);
    if (wrong == NULL)
        wrong = find_base(head.bytes, sizeof head, &said);
    if (wrong == NULL && (said.size == 0 || said.size % SECTOR != 0 || said.size > be64toh(head.header.size)))
        wrong = "is damaged: it tells of a base that it cannot have";
    if (wrong != NULL)
        return wrong;
    *size = be64toh(head.header.size);
    *base = said;
    return NULL;
}
