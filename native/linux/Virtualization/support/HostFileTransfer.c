// SPDX-License-Identifier: Apache-2.0
#include "HostFileTransfer.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <unistd.h>

int host_write_at(int file, const void *bytes, size_t length, off_t position) {
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

int host_read_at(int file, void *bytes, size_t length, off_t position) {
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

int host_copy(int from, int to, off_t length) {
    off_t place = 0;
    while (place < length) {
        ssize_t count = sendfile(to, from, &place, (size_t)(length - place));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : EIO;
    }
    return 0;
}
