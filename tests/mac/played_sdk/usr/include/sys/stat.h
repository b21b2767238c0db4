// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>
#include <time.h>

struct stat {
    dev_t st_dev;
    mode_t st_mode;
    uint16_t st_nlink;
    ino_t st_ino;
    uid_t st_uid;
    gid_t st_gid;
    dev_t st_rdev;
    struct timespec st_atimespec;
    struct timespec st_mtimespec;
    struct timespec st_ctimespec;
    struct timespec st_birthtimespec;
    off_t st_size;
    int64_t st_blocks;
    int32_t st_blksize;
    uint32_t st_flags;
    uint32_t st_gen;
    int32_t st_lspare;
    int64_t st_qspare[2];
};

#define st_mtime st_mtimespec.tv_sec

#define S_IFMT 0170000
#define S_IRUSR 0000400
#define S_IWUSR 0000200
#define S_ISCHR(mode) (((mode) & S_IFMT) == 0020000)
#define S_ISDIR(mode) (((mode) & S_IFMT) == 0040000)
#define S_ISBLK(mode) (((mode) & S_IFMT) == 0060000)
#define S_ISREG(mode) (((mode) & S_IFMT) == 0100000)
#define S_ISLNK(mode) (((mode) & S_IFMT) == 0120000)
#define S_ISSOCK(mode) (((mode) & S_IFMT) == 0140000)

int chmod(const char *path, mode_t mode);
int fchmod(int descriptor, mode_t mode);
int fstatat(int folder, const char *path, struct stat *found, int flags);
int fstat(int descriptor, struct stat *found);
int lstat(const char *path, struct stat *found);
int stat(const char *path, struct stat *found);
