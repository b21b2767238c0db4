// SPDX-License-Identifier: Apache-2.0
#import "NSFileErrors.h"
#import "NSSystemString.h"
#include <sys/stat.h>

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

/// 0 or an errno; what is before the last slash is made too where it is asked for.
static int make_folder(char *name, BOOL intermediate, BOOL *made) {
    for (char *slash = name; intermediate && *slash != '\0' && (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        int number = mkdir(name, 0777) == 0 ? 0 : errno;
        *slash = '/';
        if (number != 0 && number != EEXIST)
            return number;
    }
    *made = mkdir(name, 0777) == 0;
    int number = *made ? 0 : errno;
    struct stat status;
    BOOL stands = number == EEXIST && intermediate && stat(name, &status) == 0 && S_ISDIR(status.st_mode);
    return stands ? 0 : number;
}

@implementation NSFileManager (ApplevzDirectories)

// GNUstep's says that a file is a folder, and gives errors without a code.
- (BOOL)createDirectoryAtPath:(NSString *)path
    withIntermediateDirectories:(BOOL)intermediate
                     attributes:(NSDictionary *)attributes
                          error:(NSError **)error {
    const char *text = NSSystemString(path ?: @"");
    char *name = text != NULL ? strdup(text) : NULL;
    BOOL made = NO;
    int number = name != NULL ? make_folder(name, intermediate, &made) : text != NULL ? ENOMEM : EILSEQ;
    free(name);
    if (number != 0 && error != NULL)
        *error = NSErrorOfFile(number, NO, path);
    if (made && attributes != nil)
        [self changeFileAttributes:attributes atPath:path];
    return number == 0;
}

- (NSURL *)temporaryDirectory {
    return [NSURL fileURLWithPath:NSTemporaryDirectory() isDirectory:YES];
}

- (NSURL *)homeDirectoryForCurrentUser {
    return [NSURL fileURLWithPath:NSHomeDirectory() isDirectory:YES];
}

- (NSArray<NSURL *> *)URLsForDirectory:(NSSearchPathDirectory)directory inDomains:(NSSearchPathDomainMask)domains {
    NSMutableArray<NSURL *> *urls = [NSMutableArray array];
    for (NSString *path in NSSearchPathForDirectoriesInDomains(directory, domains, YES))
        [urls addObject:[NSURL fileURLWithPath:path isDirectory:YES]];
    return urls;
}

@end
