// SPDX-License-Identifier: Apache-2.0
#import "VZTemporaryNames+Private.h"
#import "VZErrors+Private.h"
#import "VZFilePath+Private.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { mostNames = 100000, mostTries = 8 };

static const char prefix[] = ".applevz-";

// Far behind the bytes that QEMU locks (RAW_LOCK_PERM_BASE in block/file-posix.c), and those that a file has.
static struct flock lockOfType(short type) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)1 << 62, .l_len = 1};
}

// 0 or errno.
static int lock(int file) {
    struct flock wanted = lockOfType(F_WRLCK);
    return fcntl(file, F_OFD_SETLK, &wanted) == 0 ? 0 : errno;
}

static BOOL hasName(int folder, const char *name, int file) {
    struct stat named, opened;
    return fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(file, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

NSString *VZNewTemporaryName(void) {
    return [NSString stringWithFormat:@"%s%@", prefix, [NSUUID UUID].UUIDString];
}

BOOL VZHoldTemporaryFile(HostDescriptor *file) {
    int failure = lock(file.number);
    return failure != EAGAIN && failure != EACCES;
}

void VZLetGoOfTemporaryFile(HostDescriptor *file) {
    struct flock wanted = lockOfType(F_UNLCK);
    fcntl(file.number, F_OFD_SETLK, &wanted);
}

HostDescriptor *VZNewTemporaryFile(HostDescriptor *folder, int flags, NSString **name, NSError **error) {
    // Between its making and its lock somebody may have taken one for left.
    for (int tries = 0; tries < mostTries; tries++) {
        *name = VZNewTemporaryName();
        HostDescriptor *file = [HostDescriptor createIn:folder
                                                   name:*name
                                                  flags:O_CREAT | O_EXCL | O_RDWR | flags
                                                  error:error];
        if (!file || (VZHoldTemporaryFile(file) && hasName(folder.number, VZBytesOfPath(*name), file.number))) {
            return file;
        }
    }
    VZRefuse(error, VZSystemCallError(EAGAIN, nil));
    return nil;
}

static BOOL isTemporary(const char *name) {
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 && [[NSUUID alloc] initWithUUIDString:@(name + length)];
}

// Held from before the last look at it until its name is gone: who made it meanwhile finds it so, and makes another.
static void removeIfLeft(int folder, const char *name) {
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != geteuid()) {
        return;
    }
    int file = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
        return;
    }
    if (lock(file) == 0 && hasName(folder, name, file)) {
        unlinkat(folder, name, 0);
    }
    close(file);
}

void VZRemoveLeftFiles(HostDescriptor *folder) {
    int opened = openat(folder.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = opened >= 0 ? fdopendir(opened) : NULL;
    if (!stream) {
        if (opened >= 0) {
            close(opened);
        }
        return;
    }
    struct dirent *entry;
    for (int i = 0; i < mostNames && (entry = readdir(stream)); i++) {
        @autoreleasepool {
            if (isTemporary(entry->d_name)) {
                removeIfLeft(folder.number, entry->d_name);
            }
        }
    }
    closedir(stream);
}
