// SPDX-License-Identifier: Apache-2.0
#import "NSSystemString.h"
#include <sys/stat.h>

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

/// The path that is meant. The URL has it whole: GNUstep's file URLs with a base lose the base in their paths. By
/// slashes alone: GNUstep's methods for path components take a backslash for one.
static NSString *joined(NSString *path, NSURL *base) {
    if ([path hasPrefix:@"/"])
        return path;
    NSString *folder = base != nil ? base.path : NSFileManager.defaultManager.currentDirectoryPath;
    if (base != nil && ![base.absoluteString hasSuffix:@"/"])
        folder = [folder substringToIndex:[folder rangeOfString:@"/" options:NSBackwardsSearch].location];
    return [folder hasSuffix:@"/"] ? [folder stringByAppendingString:path]
                                   : [NSString stringWithFormat:@"%@/%@", folder, path];
}

@implementation NSURL (ApplevzRelativeFileURLs)

+ (instancetype)fileURLWithPath:(NSString *)path relativeToURL:(NSURL *)baseURL {
    return [[self alloc] initFileURLWithPath:path relativeToURL:baseURL];
}

+ (instancetype)fileURLWithPath:(NSString *)path isDirectory:(BOOL)isDirectory relativeToURL:(NSURL *)baseURL {
    return [[self alloc] initFileURLWithPath:path isDirectory:isDirectory relativeToURL:baseURL];
}

- (instancetype)initFileURLWithPath:(NSString *)path relativeToURL:(NSURL *)baseURL {
    return [self initFileURLWithPath:path isDirectory:NO relativeToURL:baseURL];
}

// Later GNUsteps' methods without a base call this one.
- (instancetype)initFileURLWithPath:(NSString *)path isDirectory:(BOOL)isDirectory relativeToURL:(NSURL *)baseURL {
    if (path == nil)
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[NSURL %@]: nil string parameter", NSStringFromSelector(_cmd)];
    NSString *whole = joined(path, baseURL);
    // What is there says itself whether it is a folder, as with GNUstep's methods without a base.
    const char *name = NSSystemString(whole);
    struct stat status;
    if (name != NULL && stat(name, &status) == 0)
        isDirectory = S_ISDIR(status.st_mode);
    if (isDirectory && ![whole hasSuffix:@"/"])
        whole = [whole stringByAppendingString:@"/"];
    return [self initWithScheme:NSURLFileScheme host:@"" path:whole];
}

@end
