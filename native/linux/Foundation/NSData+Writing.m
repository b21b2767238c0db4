// SPDX-License-Identifier: Apache-2.0
// GNUstep's way of writing a file leaves the caller's error as it was, and tells standard error.
#import "NSFileErrors.h"
#import "NSSystemString.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

/// 0 or an errno, as of the functions below. The descriptor is closed in either case.
static int write_and_close(NSData *data, int descriptor) {
    const char *bytes = data.bytes;
    size_t left = data.length;
    int number = 0;
    while (left > 0 && number == 0) {
        ssize_t written = write(descriptor, bytes, left);
        if (written >= 0) {
            bytes += written;
            left -= (size_t)written;
        } else if (errno != EINTR) {
            number = errno;
        }
    }
    // Not again after EINTR: the descriptor is closed then.
    if (close(descriptor) != 0 && errno != EINTR && number == 0)
        number = errno;
    return number;
}

static int write_in_place(NSData *data, const char *name, int flags) {
    int descriptor = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    return descriptor >= 0 ? write_and_close(data, descriptor) : errno;
}

/// The file has its name when it is whole. One that was there before leaves its mode.
static int write_and_replace(NSData *data, const char *name) {
    struct stat status;
    BOOL exists = stat(name, &status) == 0;
    if (exists && S_ISDIR(status.st_mode))
        return EISDIR;
    NSString *unique = [@"." stringByAppendingString:NSUUID.UUID.UUIDString];
    const char *slash = strrchr(name, '/');
    char *temporary = NULL;
    if (asprintf(&temporary, "%.*s%s", slash != NULL ? (int)(slash + 1 - name) : 0, name, unique.UTF8String) < 0)
        return ENOMEM;
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int number = descriptor >= 0 ? 0 : errno;
    if (descriptor >= 0) {
        if (exists)
            (void)!fchmod(descriptor, status.st_mode & 07777);
        number = write_and_close(data, descriptor);
        if (number == 0 && rename(temporary, name) != 0)
            number = errno;
        if (number != 0)
            unlink(temporary);
    }
    free(temporary);
    return number;
}

@implementation NSData (ApplevzWriting)

- (BOOL)writeToFile:(NSString *)path options:(NSUInteger)options error:(NSError **)error {
    const char *name = NSSystemString(path ?: @"");
    int number;
    if (name == NULL)
        number = EILSEQ;
    else if (options & NSDataWritingWithoutOverwriting)
        number = write_in_place(self, name, O_EXCL);
    else if (options & NSDataWritingAtomic)
        number = write_and_replace(self, name);
    else
        number = write_in_place(self, name, O_TRUNC);
    if (number != 0 && error != NULL)
        *error = NSErrorOfFile(number, NO, path);
    return number == 0;
}

@end
