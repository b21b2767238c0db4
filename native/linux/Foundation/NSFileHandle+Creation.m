// SPDX-License-Identifier: Apache-2.0
// Which file handles there are: each of NSFileHandle's class methods in the place of GNUstep's.
#import "NSConcreteFileHandle.h"
#import "NSFileErrors.h"
#import "NSSystemString.h"
#import <dispatch/descriptor.h>
#include <fcntl.h>
#include <unistd.h>

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

/// Kept for ever, as on macOS: a handle's end must not touch a descriptor that the whole process uses.
static NSFileHandle *standard(int descriptor) {
    static NSFileHandle *handles[3];
    @synchronized([NSConcreteFileHandle class]) {
        if (handles[descriptor] == nil)
            handles[descriptor] = [[NSConcreteFileHandle alloc] initWithFileDescriptor:descriptor closeOnDealloc:NO];
        return handles[descriptor];
    }
}

static NSFileHandle *opened(NSString *path, int flags, NSError **error) {
    const char *name = NSSystemString(path ?: @"");
    int descriptor;
    do
        descriptor = name != NULL ? open(name, flags | O_CLOEXEC) : (errno = EILSEQ, -1);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor >= 0)
        return [[NSConcreteFileHandle alloc] initWithFileDescriptor:descriptor closeOnDealloc:YES];
    if (error != NULL)
        *error = NSErrorOfFile(errno, flags == O_RDONLY, path);
    return nil;
}

static NSFileHandle *opened_url(NSURL *url, int flags, NSError **error) {
    if (url.isFileURL)
        return opened(url.path, flags, error);
    if (error != NULL)
        *error = [NSError
            errorWithDomain:NSCocoaErrorDomain
                       code:flags == O_RDONLY ? NSFileReadUnsupportedSchemeError : NSFileWriteUnsupportedSchemeError
                   userInfo:url != nil ? @{NSURLErrorKey : url} : @{}];
    return nil;
}

@implementation NSFileHandle (ApplevzCreation)

+ (instancetype)allocWithZone:(NSZone *)zone {
    if (self == [NSFileHandle class])
        return (id)[NSConcreteFileHandle allocWithZone:zone];
    return [super allocWithZone:zone];
}

+ (instancetype)fileHandleWithStandardInput {
    return standard(STDIN_FILENO);
}

+ (instancetype)fileHandleWithStandardOutput {
    return standard(STDOUT_FILENO);
}

+ (instancetype)fileHandleWithStandardError {
    return standard(STDERR_FILENO);
}

+ (instancetype)fileHandleWithNullDevice {
    static NSFileHandle *handle;
    @synchronized([NSNullFileHandle class]) {
        if (handle == nil) {
            int descriptor = descriptor_above_standard(open("/dev/null", O_RDWR | O_CLOEXEC));
            if (descriptor >= 0)
                handle = [[NSNullFileHandle alloc] initWithFileDescriptor:descriptor closeOnDealloc:NO];
        }
        return handle;
    }
}

+ (instancetype)fileHandleForReadingAtPath:(NSString *)path {
    return opened(path, O_RDONLY, NULL);
}

+ (instancetype)fileHandleForWritingAtPath:(NSString *)path {
    return opened(path, O_WRONLY, NULL);
}

+ (instancetype)fileHandleForUpdatingAtPath:(NSString *)path {
    return opened(path, O_RDWR, NULL);
}

+ (instancetype)fileHandleForReadingFromURL:(NSURL *)url error:(NSError **)error {
    return opened_url(url, O_RDONLY, error);
}

+ (instancetype)fileHandleForWritingToURL:(NSURL *)url error:(NSError **)error {
    return opened_url(url, O_WRONLY, error);
}

+ (instancetype)fileHandleForUpdatingURL:(NSURL *)url error:(NSError **)error {
    return opened_url(url, O_RDWR, error);
}

@end
