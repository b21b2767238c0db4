// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stdio.h>

int renameatx_np(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags) {
    unsigned int linux_flags = 0;
    if ((flags & ~(unsigned)(RENAME_SWAP | RENAME_EXCL)) != 0) {
        errno = EINVAL;
        return -1;
    }
    if ((flags & RENAME_SWAP) != 0)
        linux_flags |= RENAME_EXCHANGE;
    if ((flags & RENAME_EXCL) != 0)
        linux_flags |= RENAME_NOREPLACE;
    int result = renameat2(from_folder, from, to_folder, to, linux_flags);
    // As a file system says that has no such flag, and a kernel or a container that has no such call.
    if (result != 0 && (errno == ENOSYS || (errno == EINVAL && flags != 0)))
        errno = ENOTSUP;
    return result;
}

int renamex_np(const char *from, const char *to, unsigned int flags) {
    return renameatx_np(AT_FDCWD, from, AT_FDCWD, to, flags);
}
