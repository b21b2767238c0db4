// SPDX-License-Identifier: Apache-2.0
#import "NSFileErrors.h"

static NSInteger code(int number, BOOL reading) {
    switch (number) {
    case ENOENT:
        return reading ? NSFileReadNoSuchFileError : NSFileNoSuchFileError;
    case EPERM:
    case EACCES:
        return reading ? NSFileReadNoPermissionError : NSFileWriteNoPermissionError;
    case EILSEQ:
    case ENAMETOOLONG:
        return reading ? NSFileReadInvalidFileNameError : NSFileWriteInvalidFileNameError;
    case EFBIG:
        return reading ? NSFileReadTooLargeError : NSFileWriteUnknownError;
    case EEXIST:
        return reading ? NSFileReadUnknownError : NSFileWriteFileExistsError;
    case ENOSPC:
    case EDQUOT:
        return reading ? NSFileReadUnknownError : NSFileWriteOutOfSpaceError;
    case EROFS:
        return reading ? NSFileReadUnknownError : NSFileWriteVolumeReadOnlyError;
    default:
        return reading ? NSFileReadUnknownError : NSFileWriteUnknownError;
    }
}

NSError *NSErrorOfFile(int number, BOOL reading, NSString *path) {
    NSString *reason = @(strerror(number));
    NSError *cause = [NSError errorWithDomain:NSPOSIXErrorDomain
                                         code:number
                                     userInfo:@{NSLocalizedDescriptionKey : reason}];
    NSString *file = path != nil ? [NSString stringWithFormat:@"The file “%@”", path.lastPathComponent] : @"The file";
    NSString *description =
        [NSString stringWithFormat:@"%@ couldn’t be %@. %@.", file, reading ? @"read" : @"changed", reason];
    NSMutableDictionary *userInfo = [@{
        NSLocalizedDescriptionKey : description,
        NSLocalizedFailureReasonErrorKey : reason,
        NSUnderlyingErrorKey : cause,
    } mutableCopy];
    if (path != nil)
        userInfo[NSFilePathErrorKey] = path;
    return [NSError errorWithDomain:NSCocoaErrorDomain code:code(number, reading) userInfo:userInfo];
}
