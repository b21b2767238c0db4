// SPDX-License-Identifier: Apache-2.0
#import "QEMUVariableStore.h"
#import "support/VZErrors+Private.h"
#import <endian.h>
#import <errno.h>
#import <fcntl.h>
#import <string.h>
#import <sys/stat.h>
#import <unistd.h>

// Of the volume's header.
enum {
    VOLUME_TYPE_OFFSET = 16,
    VOLUME_LENGTH_OFFSET = 32,
    VOLUME_SIGNATURE_OFFSET = 40,
    VOLUME_HEADER_LENGTH_OFFSET = 48,
    SMALLEST_VOLUME_HEADER = 72,
};

// Of the store's header, which follows it.
enum { STORE_SIZE_OFFSET = 16, STORE_FORMAT_OFFSET = 20, STORE_STATE_OFFSET = 21, STORE_HEADER_LENGTH = 28 };
enum { STORE_FORMATTED = 0x5a, STORE_HEALTHY = 0xfe };

static const unsigned char nvram_volume[] = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                             0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};
static const unsigned char authenticated_store[] = {0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                                    0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92};
static const unsigned char plain_store[] = {0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41,
                                            0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d};

static uint16_t little16(const unsigned char *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t little32(const unsigned char *bytes) {
    return little16(bytes) | (uint32_t)little16(bytes + 2) << 16;
}

static uint64_t little64(const unsigned char *bytes) {
    return little32(bytes) | (uint64_t)little32(bytes + 4) << 32;
}

NSString *QEMUVariableStoreDamage(int descriptor, uint64_t size) {
    unsigned char head[1024];
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return [@"cannot be read: " stringByAppendingString:VZSystemCallErrorText(errno)];
    if ((uint64_t)status.st_size != size)
        return [NSString stringWithFormat:@"has %lld bytes; a store of the firmware on this host has %llu",
                                          (long long)status.st_size, (unsigned long long)size];
    if (pread(descriptor, head, sizeof head, 0) != (ssize_t)sizeof head)
        return [@"cannot be read: " stringByAppendingString:VZSystemCallErrorText(errno)];
    if (memcmp(head + VOLUME_SIGNATURE_OFFSET, "_FVH", 4) != 0 ||
        memcmp(head + VOLUME_TYPE_OFFSET, nvram_volume, sizeof nvram_volume) != 0)
        return @"is not an EFI variable store: it does not begin as one";
    uint16_t header_length = little16(head + VOLUME_HEADER_LENGTH_OFFSET);
    if (header_length < SMALLEST_VOLUME_HEADER || header_length % 2 != 0 ||
        header_length > sizeof head - STORE_HEADER_LENGTH)
        return @"is damaged: its header has no length that one can have";
    uint16_t sum = 0;
    for (uint16_t i = 0; i < header_length; i += 2)
        sum = (uint16_t)(sum + little16(head + i));
    if (sum != 0)
        return @"is damaged: the checksum of its header is not right";
    uint64_t length = little64(head + VOLUME_LENGTH_OFFSET);
    const unsigned char *store = head + header_length;
    if (length > size || length < header_length || little32(store + STORE_SIZE_OFFSET) > length - header_length)
        return @"is damaged: its header tells of more bytes than it has";
    if (memcmp(store, authenticated_store, sizeof authenticated_store) != 0 &&
        memcmp(store, plain_store, sizeof plain_store) != 0)
        return @"is damaged: where its variables should begin, they do not";
    if (store[STORE_FORMAT_OFFSET] != STORE_FORMATTED || store[STORE_STATE_OFFSET] != STORE_HEALTHY)
        return @"is damaged: it is marked as not formatted, or not healthy";
    return nil;
}

// QEMU's are locks of an open file description, on bytes of which each stands for a use of the file.
static BOOL isLocked(int descriptor, off_t first, off_t count) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = count};
    return fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

BOOL QEMUFileIsLocked(int descriptor) {
    return isLocked(descriptor, 0, 0);
}

BOOL QEMUFileIsWritten(int descriptor) {
    // RAW_LOCK_PERM_BASE and BLK_PERM_WRITE (block/file-posix.c).
    return isLocked(descriptor, 100 + 1, 1);
}
