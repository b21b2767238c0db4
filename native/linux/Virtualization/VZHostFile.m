// SPDX-License-Identifier: Apache-2.0
#import "VZHostFile+Private.h"
#import "VZErrors+Private.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

NSData *VZUTF8Data(NSString *string)
{
    NSMutableData *data = [[string dataUsingEncoding:NSUTF8StringEncoding allowLossyConversion:NO] mutableCopy];
    [data appendBytes:"" length:1];
    return data;
}

NSString *VZQuoted(NSString *string)
{
    enum { longest = 400, kept = 150 };
    if (!string) {
        return @"nil";
    }
    NSMutableString *quoted = [NSMutableString stringWithString:@"\""];
    NSUInteger length = string.length;
    for (NSUInteger i = 0; i < length; i++) {
        if (length > longest && i == kept) {
            [quoted appendString:@" … "];
            i = length - kept;
        }
        unichar character = [string characterAtIndex:i];
        if (character < 0x20 || character == 0x7f || (character >= 0xd800 && character < 0xe000)) {
            BOOL pair = character >= 0xd800 && character < 0xdc00 && i + 1 < length
                && [string characterAtIndex:i + 1] >= 0xdc00 && [string characterAtIndex:i + 1] < 0xe000;
            if (pair) {
                [quoted appendString:[string substringWithRange:NSMakeRange(i, 2)]];
                i++;
            } else {
                [quoted appendFormat:@"\\u%04x", character];
            }
        } else {
            [quoted appendFormat:@"%C", character];
        }
    }
    [quoted appendString:@"\""];
    return quoted;
}

NSString *VZPathOfFileURL(NSURL *url, NSString **reason)
{
    if (!url) {
        *reason = @"is nil; it must be the URL of a file";
        return nil;
    }
    if (!url.isFileURL) {
        *reason = [NSString stringWithFormat:@"is %@, which is not the URL of a file on this host",
                                             VZQuoted(url.absoluteString)];
        return nil;
    }
    // GNUstep's -path ends at a NUL without a word, and would then name another file.
    if ([url.absoluteString rangeOfString:@"%00"].location != NSNotFound) {
        *reason = [NSString stringWithFormat:@"is %@, whose path has a NUL character in it",
                                             VZQuoted(url.absoluteString)];
        return nil;
    }
    NSString *path = url.path;
    if (path.length == 0 || !VZUTF8Data(path)) {
        *reason = [NSString stringWithFormat:@"is %@, which has no path in UTF-8", VZQuoted(url.absoluteString)];
        return nil;
    }
    return path;
}

NSString *VZResolvedPathOfFileURL(NSURL *url)
{
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(url, &reason);
    char *resolved = path ? realpath(path.UTF8String, NULL) : NULL;
    NSString *result = resolved ? [NSString stringWithUTF8String:resolved] : nil;
    free(resolved);
    return result ?: path;
}

static NSString *kindOfFile(mode_t mode)
{
    switch (mode & S_IFMT) {
        case S_IFDIR: return @"a directory";
        case S_IFIFO: return @"a FIFO";
        case S_IFSOCK: return @"a socket";
        case S_IFCHR: return @"a character device";
        case S_IFBLK: return @"a block device";
        default: return @"a special file";
    }
}

@implementation VZHostFile {
    struct stat _status;
}

- (instancetype)initWithPath:(NSString *)path
                    writable:(BOOL)writable
                blockDevices:(BOOL)blockDevices
                      reason:(NSString **)reason
                 errorNumber:(int *)errorNumber
{
    if (!(self = [super init])) {
        return nil;
    }
    _fileDescriptor = -1;
    *errorNumber = 0;
    const char *name = path.UTF8String;
    struct stat status;
    if (stat(name, &status) != 0) {
        *errorNumber = errno;
        *reason = [NSString stringWithFormat:@"is %@, which cannot be found: %@", VZQuoted(path),
                                             VZSystemCallErrorText(*errorNumber)];
        return nil;
    }
    // Looked at before it is opened, because of what opening can do, and after, because the path can have changed.
    int opened = 0;
    if ([self acceptsMode:status.st_mode blockDevices:blockDevices]) {
        _fileDescriptor = open(name, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (_fileDescriptor < 0) {
            *errorNumber = errno;
            *reason = [NSString stringWithFormat:@"is %@, which cannot be opened for %@: %@", VZQuoted(path),
                                                 writable ? @"writing" : @"reading",
                                                 VZSystemCallErrorText(*errorNumber)];
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

+ (instancetype)fileAtURL:(NSURL *)url
                 writable:(BOOL)writable
             blockDevices:(BOOL)blockDevices
                   reason:(NSString **)reason
              errorNumber:(int *)errorNumber
{
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

- (instancetype)initWithFileDescriptor:(int)fileDescriptor reason:(NSString **)reason errorNumber:(int *)errorNumber
{
    if (!(self = [super init])) {
        return nil;
    }
    *errorNumber = 0;
    struct stat status;
    _fileDescriptor = fcntl(fileDescriptor, F_DUPFD_CLOEXEC, 3);
    if (_fileDescriptor < 0 || fstat(_fileDescriptor, &status) != 0) {
        *errorNumber = errno;
        *reason = [NSString stringWithFormat:@"has descriptor %d, which is not open: %@", fileDescriptor,
                                             VZSystemCallErrorText(*errorNumber)];
        return nil;
    }
    [self takeStatus:&status];
    return self;
}

- (void)takeStatus:(const struct stat *)status
{
    _status = *status;
    _isBlockDevice = S_ISBLK(status->st_mode);
    uint64_t size = 0;
    // Not by seeking: the position is the owner's, too.
    if (_isBlockDevice && ioctl(_fileDescriptor, BLKGETSIZE64, &size) != 0) {
        size = 0;
    }
    _size = _isBlockDevice ? size : (uint64_t)status->st_size;
}

- (BOOL)acceptsMode:(mode_t)mode blockDevices:(BOOL)blockDevices
{
    return S_ISREG(mode) || (blockDevices && S_ISBLK(mode));
}

- (BOOL)isSameFileAs:(VZHostFile *)other
{
    if (_isBlockDevice && other->_isBlockDevice) {
        return _status.st_rdev == other->_status.st_rdev;
    }
    return _status.st_dev == other->_status.st_dev && _status.st_ino == other->_status.st_ino;
}

- (void)dealloc
{
    if (_fileDescriptor >= 0) {
        close(_fileDescriptor);
    }
}

@end
