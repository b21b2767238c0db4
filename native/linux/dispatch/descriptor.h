// SPDX-License-Identifier: Apache-2.0
// Every descriptor that this process is to have of ours comes through here, as soon as the kernel gave it.
#ifndef DISPATCH_DESCRIPTOR_H
#define DISPATCH_DESCRIPTOR_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { LOWEST_DESCRIPTOR = 3 };

/// The same descriptor, above the standard ones; -1 with errno for a negative one, or where it cannot be moved. Takes
/// it over. Where a host program has closed one of 0 to 2, the next descriptor gets that number, and the program may
/// put a file of its own there at any time (dup2).
static inline int descriptor_above_standard(int descriptor) {
    if (descriptor < 0 || descriptor >= LOWEST_DESCRIPTOR) {
        return descriptor;
    }
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    int error = errno;
    close(descriptor);
    errno = error;
    return moved;
}

#endif
