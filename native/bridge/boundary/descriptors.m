// SPDX-License-Identifier: Apache-2.0
#import "descriptors.h"
#import "errors.h"
#import <errno.h>
#import <fcntl.h>
#import <string.h>
#import <unistd.h>

enum { LOWEST_DESCRIPTOR = 3 };

int applevz_descriptor_above_standard(int descriptor) {
    if (descriptor < 0)
        return descriptor;
    if (descriptor >= LOWEST_DESCRIPTOR) {
        fcntl(descriptor, F_SETFD, FD_CLOEXEC);
        return descriptor;
    }
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    int number = errno;
    close(descriptor);
    errno = number;
    return moved;
}

NSFileHandle *applevz_duplicated_file_handle(int descriptor, NSString *field, NSError **error) {
    int duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR);
    if (duplicate < 0) {
        int number = errno;
        // The caller's mistake, or nobody's.
        if (number != EBADF) {
            *error = applevz_error(
                NSPOSIXErrorDomain, number,
                [NSString stringWithFormat:@"%@: file descriptor %d cannot be duplicated.", field, descriptor],
                [NSString stringWithFormat:@"%s.", strerror(number)], @"Close files that are no longer needed.");
            return nil;
        }
        NSString *reason = [NSString
            stringWithFormat:@"%@: file descriptor %d cannot be duplicated: %s.", field, descriptor, strerror(number)];
        *error = applevz_error_with_cause(AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT,
                                          APPLEVZ_OPENS_WITH_DESCRIPTION, @"Invalid file descriptor.", reason,
                                          @"Give a descriptor that is open.", applevz_posix_error(number));
        return nil;
    }
    return [[NSFileHandle alloc] initWithFileDescriptor:duplicate closeOnDealloc:YES];
}
