// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "VZErrors+Private.h"
#import "VZHostFile+Private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// What stands against serving the directory at path; 0 if nothing does. The real user does not count: a program may have
// changed its effective one.
static int errorOfServing(NSString *path, NSString **what)
{
    struct stat status;
    *what = @"cannot be found";
    if (stat(path.UTF8String, &status) != 0) {
        return errno;
    }
    *what = @"is not a directory";
    if (!S_ISDIR(status.st_mode)) {
        return ENOTDIR;
    }
    *what = @"cannot be read";
    return faccessat(AT_FDCWD, path.UTF8String, R_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

@implementation VZSharedDirectory

- (instancetype)initWithURL:(NSURL *)url readOnly:(BOOL)readOnly
{
    if (!url) {
        [NSException raise:NSInvalidArgumentException format:@"*** -[%@ %@]: url is nil", [self class],
                                                             NSStringFromSelector(_cmd)];
    }
    if ((self = [super init])) {
        _URL = [url copy];
        _readOnly = readOnly;
    }
    return self;
}

- (NSString *)path
{
    NSString *reason = nil;
    return VZPathOfFileURL(self.URL, &reason);
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error
{
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(self.URL, &reason);
    int errorNumber = 0;
    if (path) {
        NSString *what = nil;
        errorNumber = errorOfServing(path, &what);
        if (errorNumber == 0) {
            return YES;
        }
        reason = [NSString stringWithFormat:@"is %@, which %@: %@", VZQuoted(path), what,
                                            VZSystemCallErrorText(errorNumber)];
    }
    return VZRefuse(error, VZInvalidConfigurationError(
        [NSString stringWithFormat:@"%@.URL %@.", property, reason], @"Name an existing directory that this user may read.",
        errorNumber ? VZSystemCallError(errorNumber, path) : nil));
}

@end
