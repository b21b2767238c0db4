// SPDX-License-Identifier: Apache-2.0
#import "VZHostDirectory+Private.h"
#import "VZErrors+Private.h"
#import "VZHostFile+Private.h"
#import "HostDescriptor.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

@implementation VZHostDirectory {
    HostDescriptor *_opened;
}

- (instancetype)initWithPath:(NSString *)path reason:(NSString **)reason errorNumber:(int *)errorNumber {
    if (!(self = [super init])) {
        return nil;
    }
    NSString *what = nil;
    *errorNumber = [self open:path what:&what];
    if (*errorNumber == 0) {
        return self;
    }
    *reason =
        [NSString stringWithFormat:@"is %@, which %@: %@", VZQuoted(path), what, VZSystemCallErrorText(*errorNumber)];
    return nil;
}

// 0 or errno.
- (int)open:(NSString *)path what:(NSString **)what {
    NSError *cause = nil;
    *what = @"cannot be found";
    _opened = [HostDescriptor openPath:path flags:O_PATH error:&cause];
    if (!_opened) {
        return (int)cause.code;
    }
    struct stat status;
    if (fstat(_opened.number, &status) != 0) {
        return errno;
    }
    *what = @"is not a directory";
    if (!S_ISDIR(status.st_mode)) {
        return ENOTDIR;
    }
    // The real user does not count: a program may have changed its effective one.
    *what = @"cannot be read";
    if (faccessat(_opened.number, ".", R_OK | X_OK, AT_EACCESS) != 0) {
        return errno;
    }
    char link[64], target[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", _opened.number);
    ssize_t length = readlink(link, target, sizeof target);
    *what = @"has no path from the root folder";
    if (length < 0 || (size_t)length >= sizeof target || target[0] != '/') {
        return length < 0 ? errno : target[0] != '/' ? ENOENT : ENAMETOOLONG;
    }
    target[length] = 0;
    _path = VZPathWithBytes(target);
    _device = status.st_dev;
    _inode = status.st_ino;
    return 0;
}

@end
