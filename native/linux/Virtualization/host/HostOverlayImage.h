// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_OVERLAY_IMAGE_H
#define HOST_OVERLAY_IMAGE_H

#include <stdint.h>
#include <sys/types.h>

// An overlay is a disk image that holds what differs from another one, its base: qcow2, version 3, with subclusters, so
// that what a guest wrote takes as much room as it is long. It names no base: a QEMU that opens one is told of the
// base, which may be an overlay too. In a header extension of ours it says what the base was when it was made, by which
// a base that was changed is told. It may be larger than its base: behind the end of that it has zeros.
//
// Whoever could write to it, a QEMU that a guest took over too, may have written anything. QEMU opens other files of
// the host for headers that ask for it. So no header is given to QEMU but one that could be written here.

/// The base of an overlay, as far as it is known by that whether it is as it was.
typedef struct {
    uint64_t size; // of the disk that it is, in bytes
    // When its file was written last; 0 for a block device, of which nobody knows.
    int64_t written_seconds;
    uint64_t written_nanoseconds;
    // Of its file, HostFileSample.h; 0 for a block device.
    uint64_t sample;
} host_overlay_base;

/// Makes an overlay of a size in an empty file, in which nothing differs. 0 or errno: EINVAL for a size that is smaller
/// than the base's, EFBIG for one that is too large for an overlay.
int host_overlay_write(int file, uint64_t size, const host_overlay_base *base);

/// How long one of a disk of that size is in which nothing differs; and how long one may be: every sector differs, and
/// it has its tables.
uint64_t host_overlay_shortest(uint64_t size);
uint64_t host_overlay_longest(uint64_t size);

/// How much of an overlay of a disk of that size, in a file of its own, there is: up to where it has data. Behind that
/// is what is left of its room (host_overlay_limit). 0 if that cannot be told.
uint64_t host_overlay_used(int file, uint64_t size);

/// How long the file may become at most, in whole clusters: it is made as long, and QEMU is told to go no further. 0
/// for no limit, where that is asked for, or an overlay of a disk of that size could not be longer.
uint64_t host_overlay_room(uint64_t wanted, uint64_t size);

/// Makes the file as long as the room. 0 or errno: EFBIG if it is longer already.
int host_overlay_limit(int file, uint64_t room);

/// What is wrong with the overlay that is in a part of a file; NULL if nothing is, and `size` is then its own, and
/// `base` what it says of its base. The words follow on "which".
const char *host_overlay_read(int file, off_t position, uint64_t length, uint64_t *size, host_overlay_base *base);

#endif
