// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_FILE_TRANSFER_H
#define HOST_FILE_TRANSFER_H

#include <stddef.h>
#include <sys/types.h>

// They give 0, or errno, and go on where a call was interrupted or moved a part only.

int host_write_at(int file, const void *bytes, size_t length, off_t position);

/// Fails with EIO at the end of the file.
int host_read_at(int file, void *bytes, size_t length, off_t position);

/// The first bytes of a file, to where another one's descriptor stands, and without coming by this process. Fails with
/// EIO at the end of the file.
int host_copy(int from, int to, off_t length);

#endif
