// SPDX-License-Identifier: Apache-2.0
#import "VZHostFile+Private.h"
#import "HostFileTransfer.h"
#import "VZErrors+Private.h"
#import <dispatch/descriptor.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>
#import <shown_text.h>

NSData *VZUTF8Data(NSString *string) {
    NSMutableData *data = [[string dataUsingEncoding:NSUTF8StringEncoding allowLossyConversion:NO] mutableCopy];
    [data appendBytes:"" length:1];
    return data;
}

NSString *VZQuoted(NSString *string) {
    enum { longest = 400 };
    NSString *shown = string ? VZPathWithShownBytes(string) : nil;
    return shown ? [NSString stringWithFormat:@"\"%@\"", applevz_shown_text(shown, longest, NO)] : @"nil";
}

static NSString *kindOfFile(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return @"a directory";
    case S_IFIFO:
        return @"a FIFO";
    case S_IFSOCK:
        return @"a socket";
    case S_IFCHR:
        return @"a character device";
    case S_IFBLK:
        return @"a block device";
    default:
        return @"a special file";
    }
}

@implementation VZHostFile {
    struct stat _status;
}

- (instancetype)initWithPath:(NSString *)path
                    writable:(BOOL)writable
                blockDevices:(BOOL)blockDevices
                      reason:(NSString **)reason
                 errorNumber:(int *)errorNumber {
    if (!(self = [super init])) {
        return nil;
    }
    _fileDescriptor = -1;
    *errorNumber = 0;
    const char *name = VZBytesOfPath(path);
    struct stat status;
    if (stat(name, &status) != 0) {
        *errorNumber = errno;
        *reason = [NSString
            stringWithFormat:@"is %@, which cannot be found: %@", VZQuoted(path), VZSystemCallErrorText(*errorNumber)];
        return nil;
    }
    // Looked at before it is opened, because of what opening can do, and after, because the path can have changed.
    int opened = 0;
    if ([self acceptsMode:status.st_mode blockDevices:blockDevices]) {
        _fileDescriptor =
            descriptor_above_standard(open(name, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        if (_fileDescriptor < 0) {
            *errorNumber = errno;
            *reason =
                [NSString stringWithFormat:@"is %@, which cannot be opened for %@: %@", VZQuoted(path),
                                           writable ? @"writing" : @"reading", VZSystemCallErrorText(*errorNumber)];
            return nil;
        }
        opened = fstat(_fileDescriptor, &status);
    }
    if (opened != 0 || ![self acceptsMode:status.st_mode blockDevices:blockDevices]) {
        *reason = [NSString stringWithFormat:@"is %@, which is %@; it must be a regular file%@", VZQuoted(path),
                                             kindOfFile(status.st_mode), blockDevices ? @" or a block device" : @""];
        return nil;
    }
    [self takeStatus:&status];
    return self;
}

- (instancetype)initForReadingPath:(NSString *)path reason:(NSString **)reason errorNumber:(int *)errorNumber {
    return [self initWithPath:path writable:NO blockDevices:NO reason:reason errorNumber:errorNumber];
}

+ (instancetype)fileAtURL:(NSURL *)url
                 writable:(BOOL)writable
             blockDevices:(BOOL)blockDevices
                   reason:(NSString **)reason
              errorNumber:(int *)errorNumber {
    *errorNumber = 0;
    NSString *path = VZPathOfFileURL(url, reason);
    if (!path) {
        return nil;
    }
    return [[self alloc] initWithPath:path
                             writable:writable
                         blockDevices:blockDevices
                               reason:reason
                          errorNumber:errorNumber];
}

- (instancetype)initWithFileDescriptor:(int)fileDescriptor reason:(NSString **)reason errorNumber:(int *)errorNumber {
    if (!(self = [super init])) {
        return nil;
    }
    *errorNumber = 0;
    struct stat status;
    _fileDescriptor = fcntl(fileDescriptor, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if (_fileDescriptor < 0 || fstat(_fileDescriptor, &status) != 0) {
        *errorNumber = errno;
        *reason = [NSString stringWithFormat:@"has descriptor %d, which %@: %@", fileDescriptor,
                                             *errorNumber == EBADF ? @"is not open" : @"cannot be duplicated",
                                             VZSystemCallErrorText(*errorNumber)];
        return nil;
    }
    [self takeStatus:&status];
    return self;
}

- (void)takeStatus:(const struct stat *)status {
    _status = *status;
    _isBlockDevice = S_ISBLK(status->st_mode);
    uint64_t size = 0;
    // Not by seeking: the position is the owner's, too.
    if (_isBlockDevice && ioctl(_fileDescriptor, BLKGETSIZE64, &size) != 0) {
        size = 0;
    }
    _size = _isBlockDevice ? size : (uint64_t)status->st_size;
}

- (BOOL)acceptsMode:(mode_t)mode blockDevices:(BOOL)blockDevices {
    return S_ISREG(mode) || (blockDevices && S_ISBLK(mode));
}

- (NSData *)dataOfAtMost:(NSUInteger)longest {
    if (_size > longest) {
        return nil;
    }
    NSMutableData *data = [NSMutableData dataWithLength:(NSUInteger)_size];
    return host_read_at(_fileDescriptor, data.mutableBytes, data.length, 0) == 0 ? data : nil;
}

- (BOOL)isSameFileAs:(VZHostFile *)other {
    if (_isBlockDevice && other->_isBlockDevice) {
        return _status.st_rdev == other->_status.st_rdev;
    }
    return _status.st_dev == other->_status.st_dev && _status.st_ino == other->_status.st_ino;
}

- (void)dealloc {
    if (_fileDescriptor >= 0) {
        close(_fileDescriptor);
    }
}

@end
