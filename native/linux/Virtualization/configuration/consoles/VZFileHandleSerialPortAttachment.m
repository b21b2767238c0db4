// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

// What is wrong with using a descriptor in a direction; nil if nothing is. errorNumber is 0 if no system call failed.
static NSString *wrongWithDescriptor(int descriptor, BOOL forReading, int *errorNumber) {
    struct stat status;
    int flags = fcntl(descriptor, F_GETFL);
    *errorNumber = 0;
    if (flags < 0 || fstat(descriptor, &status) != 0) {
        *errorNumber = errno;
        return [NSString stringWithFormat:@"has descriptor %d, which is not open: %@", descriptor,
                                          VZSystemCallErrorText(*errorNumber)];
    }
    int mode = flags & O_ACCMODE;
    if ((flags & O_PATH) || mode == (forReading ? O_WRONLY : O_RDONLY)) {
        return [NSString stringWithFormat:@"has descriptor %d, which is not open for %@", descriptor,
                                          forReading ? @"reading" : @"writing"];
    }
    if (S_ISDIR(status.st_mode)) {
        return [NSString stringWithFormat:@"has descriptor %d, which is a directory's", descriptor];
    }
    return nil;
}

BOOL VZCannotBeReopened(int descriptor) {
    struct stat status;
    unsigned int number;
    return descriptor >= 0 && fstat(descriptor, &status) == 0 &&
           (S_ISSOCK(status.st_mode) || (S_ISCHR(status.st_mode) && ioctl(descriptor, TIOCGPTN, &number) == 0));
}

// Two masters of pseudo-terminals are one file to fstat.
static BOOL areOneFile(int first, int second) {
    struct stat one, other;
    unsigned int number = 0, otherNumber = 0;
    return fstat(first, &one) == 0 && fstat(second, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino && ioctl(first, TIOCGPTN, &number) == ioctl(second, TIOCGPTN, &otherNumber) &&
           number == otherNumber;
}

@implementation VZFileHandleSerialPortAttachment

- (instancetype)initWithFileHandleForReading:(NSFileHandle *)fileHandleForReading
                        fileHandleForWriting:(NSFileHandle *)fileHandleForWriting {
    if ((fileHandleForReading && fcntl(fileHandleForReading.fileDescriptor, F_GETFD) < 0) ||
        (fileHandleForWriting && fcntl(fileHandleForWriting.fileDescriptor, F_GETFD) < 0)) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: a file handle has no open file descriptor", [self class],
                           NSStringFromSelector(_cmd)];
    }
    if ((self = [super initForSubclass])) {
        _fileHandleForReading = fileHandleForReading;
        _fileHandleForWriting = fileHandleForWriting;
    }
    return self;
}

- (int)readingFileDescriptor {
    return self.fileHandleForReading ? self.fileHandleForReading.fileDescriptor : -1;
}

- (int)writingFileDescriptor {
    return self.fileHandleForWriting ? self.fileHandleForWriting.fileDescriptor : -1;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSString *name = @"fileHandleForReading";
    NSString *reason = nil;
    int errorNumber = 0;
    if (!self.fileHandleForReading && !self.fileHandleForWriting) {
        return VZRefuse(
            error, VZInvalidConfigurationError(
                       [NSString stringWithFormat:@"%@ has neither a fileHandleForReading nor a fileHandleForWriting.",
                                                  property],
                       @"Make it with at least one, or leave the port's attachment nil.", nil));
    }
    if (self.fileHandleForReading) {
        reason = wrongWithDescriptor(self.readingFileDescriptor, YES, &errorNumber);
    }
    if (!reason && self.fileHandleForWriting) {
        name = @"fileHandleForWriting";
        reason = wrongWithDescriptor(self.writingFileDescriptor, NO, &errorNumber);
    }
    if (!reason && self.fileHandleForReading && self.fileHandleForWriting &&
        (VZCannotBeReopened(self.readingFileDescriptor) || VZCannotBeReopened(self.writingFileDescriptor)) &&
        !areOneFile(self.readingFileDescriptor, self.writingFileDescriptor)) {
        return VZRefuse(
            error,
            VZInvalidConfigurationError(
                [NSString
                    stringWithFormat:@"%@ reads from descriptor %d and writes to %d, which are different files, one of "
                                     @"them a socket or the master of a pseudo-terminal.",
                                     property, self.readingFileDescriptor, self.writingFileDescriptor],
                @"Use one socket or one terminal for both directions, or pipes.", nil));
    }
    if (!reason) {
        return YES;
    }
    return VZRefuse(
        error,
        VZInvalidConfigurationError(
            [NSString stringWithFormat:@"%@.%@ %@.", property, name, reason],
            @"What the guest reads needs a descriptor open for reading, what it writes one open for writing; both stay "
            @"open as long as the machine runs.",
            errorNumber ? VZSystemCallError(errorNumber, nil) : nil));
}

@end
