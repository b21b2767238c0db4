// SPDX-License-Identifier: Apache-2.0
#import "descriptors.h"
#import "errors.h"
#import <errno.h>
#import <fcntl.h>
#import <string.h>

NSFileHandle *applevz_duplicated_file_handle(int descriptor, NSString *field, NSError **error) {
    int duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (duplicate < 0) {
        int number = errno;
        NSError *cause = [NSError errorWithDomain:NSPOSIXErrorDomain code:number userInfo:nil];
        NSString *reason = [NSString stringWithFormat:@"%@: file descriptor %d cannot be duplicated: %s.", field,
                                                      descriptor, strerror(number)];
        *error = [NSError errorWithDomain:AppleVZErrorDomain
                                     code:APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT
                                 userInfo:@{
                                     NSLocalizedDescriptionKey : @"Invalid file descriptor.",
                                     NSLocalizedFailureReasonErrorKey : reason,
                                     NSLocalizedRecoverySuggestionErrorKey : @"Give a descriptor that is open.",
                                     NSUnderlyingErrorKey : cause
                                 }];
        return nil;
    }
    return [[NSFileHandle alloc] initWithFileDescriptor:duplicate closeOnDealloc:YES];
}
