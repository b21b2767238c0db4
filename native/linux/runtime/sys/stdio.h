// SPDX-License-Identifier: Apache-2.0
// <sys/stdio.h>: where macOS declares renaming with flags.
#ifndef APPLEVZ_SYS_STDIO_H
#define APPLEVZ_SYS_STDIO_H

#define RENAME_SWAP 0x00000002
#define RENAME_EXCL 0x00000004

#ifdef __cplusplus
extern "C" {
#endif

/* 0, or -1 with errno: EEXIST with RENAME_EXCL where something has the name, ENOTSUP where the file system, or the
   kernel, does not know a flag. */
int renameatx_np(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags);
int renamex_np(const char *from, const char *to, unsigned int flags);

#ifdef __cplusplus
}
#endif

#endif
