// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// What stands against writing to the file at path; 0 if nothing does. Nothing is created, truncated or waited for. The
// real user does not count: a program may have changed its effective one.
static int errorOfWriting(NSString *path, NSString **what) {
    const char *bytes = VZBytesOfPath(path);
    struct stat status;
    *what = @"cannot be written to";
    if (stat(bytes, &status) == 0) {
        if (S_ISDIR(status.st_mode)) {
            return EISDIR;
        }
        if (S_ISSOCK(status.st_mode)) {
            return ENXIO;
        }
        return faccessat(AT_FDCWD, bytes, W_OK, AT_EACCESS) == 0 ? 0 : errno;
    }
    if (errno != ENOENT) {
        return errno;
    }
    *what = @"cannot be created";
    if (lstat(bytes, &status) == 0) {
        *what = @"is a symbolic link to a missing file";
        return ENOENT;
    }
    NSString *name = nil;
    const char *folder = VZBytesOfPath(VZFolderOfPath(path, &name));
    if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0) {
        return errno;
    }
    // A name with a slash at its end is a folder's.
    return name.length == 0 ? EISDIR : 0;
}

@implementation VZFileSerialPortAttachment

- (instancetype)initWithURL:(NSURL *)url append:(BOOL)shouldAppend error:(NSError **)error {
    if (!url) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: url is nil", [self class], NSStringFromSelector(_cmd)];
    }
    if (!(self = [super initForSubclass])) {
        return nil;
    }
    _URL = [url copy];
    _append = shouldAppend;
    return [self validateURLAs:@"URL" error:error] ? self : nil;
}

- (NSString *)path {
    NSString *reason = nil;
    return VZPathOfFileURL(self.URL, &reason);
}

- (BOOL)validateURLAs:(NSString *)property error:(NSError **)error {
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(self.URL, &reason);
    int errorNumber = 0;
    if (path) {
        NSString *what = nil;
        errorNumber = errorOfWriting(path, &what);
        if (errorNumber == 0) {
            return YES;
        }
        reason = [NSString
            stringWithFormat:@"is %@, which %@: %@", VZQuoted(path), what, VZSystemCallErrorText(errorNumber)];
    }
    return VZRefuse(error, VZInvalidConfigurationError(
                               [NSString stringWithFormat:@"%@ %@.", property, reason],
                               @"Name a file that this user may write, or a new file in an existing folder.",
                               errorNumber ? VZSystemCallError(errorNumber, path) : nil));
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return [self validateURLAs:[property stringByAppendingString:@".URL"] error:error];
}

@end
