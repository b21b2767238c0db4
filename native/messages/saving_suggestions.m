// SPDX-License-Identifier: Apache-2.0
#import "saving_suggestions.h"
#import <errno.h>

NSString *applevz_saving_suggestion(int number, BOOL overwriting) {
    switch (number) {
    case EEXIST:
        return overwriting ? @"Give a name that no file has, or that a file has."
                           : @"Give a name that no file has, or remove the file, or have it overwritten.";
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return @"Make room, or save to another file system. The machine is as it was, and can be saved again.";
    case EACCES:
    case EPERM:
    case EROFS:
        return @"Name a file in a folder that this user may write.";
    case EISDIR:
        return @"Give another name: only a regular file is replaced.";
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return @"Name a file in a folder that is there.";
    default:
        return nil;
    }
}
