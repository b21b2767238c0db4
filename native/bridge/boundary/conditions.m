// SPDX-License-Identifier: Apache-2.0
#import "conditions.h"
#import "errors.h"
#import <Virtualization/Virtualization.h>
#import <errno.h>

// Nobody nests causes deeper, or has more of them; a chain that leads back into itself ends too.
enum { DEEPEST = 16, MOST = 64 };

enum applevz_error_domain applevz_number_of_domain(NSString *domain) {
    // Nearly always the constant itself.
    if (domain == VZErrorDomain)
        return APPLEVZ_ERROR_DOMAIN_VIRTUALIZATION;
    if (domain == AppleVZErrorDomain)
        return APPLEVZ_ERROR_DOMAIN_BRIDGE;
    if ([domain isEqualToString:VZErrorDomain])
        return APPLEVZ_ERROR_DOMAIN_VIRTUALIZATION;
    if ([domain isEqualToString:AppleVZErrorDomain])
        return APPLEVZ_ERROR_DOMAIN_BRIDGE;
    if ([domain isEqualToString:NSPOSIXErrorDomain])
        return APPLEVZ_ERROR_DOMAIN_POSIX;
    return APPLEVZ_ERROR_DOMAIN_OTHER;
}

#pragma mark One error

static applevz_condition certain(int64_t code) {
    return (applevz_condition){code, true};
}

static applevz_condition uncertain(int64_t code) {
    return (applevz_condition){code, false};
}

static const applevz_condition none = {0, false};

static applevz_condition of_posix(NSInteger code) {
    switch (code) {
    case EINVAL:
    case ENOSYS:
    case ENOTSUP:
    case ENOTTY:
#if EOPNOTSUPP != ENOTSUP
    case EOPNOTSUPP:
#endif
#ifdef EFTYPE
    case EFTYPE:
#endif
        return uncertain(code);
    default:
        return code > 0 ? certain(code) : uncertain(code);
    }
}

/// The codes about files, in the words of Apple's FoundationErrors.h.
static applevz_condition of_cocoa(NSInteger code) {
    switch (code) {
    case NSFileNoSuchFileError:
    case NSFileReadNoSuchFileError:
        return certain(ENOENT);
    case NSFileLockingError:
        return certain(EBUSY);
    case NSFileReadNoPermissionError:
    case NSFileWriteNoPermissionError:
        return certain(EACCES);
    case NSFileReadTooLargeError:
        return certain(EFBIG);
    case NSFileWriteFileExistsError:
        return certain(EEXIST);
    case NSFileWriteOutOfSpaceError:
        return certain(ENOSPC);
    case NSFileWriteVolumeReadOnlyError:
        return certain(EROFS);
    case NSFileReadInapplicableStringEncodingError:
    case NSFileReadUnknownStringEncodingError:
    case NSFileWriteInapplicableStringEncodingError:
        return certain(EILSEQ);
    case NSFileReadUnknownError:
    case NSFileWriteUnknownError:
        return uncertain(EIO);
    case NSFileReadInvalidFileNameError:
    case NSFileWriteInvalidFileNameError:
    case NSFileReadCorruptFileError:
    case NSFileReadUnsupportedSchemeError:
    case NSFileWriteUnsupportedSchemeError:
        return uncertain(EINVAL);
    default:
        return none;
    }
}

/// The codes of Apple's MacErrors.h about files, by their numbers: on macOS another framework has their names.
static applevz_condition of_status(NSInteger code) {
    if (code > 100000 && code < 101000) // kPOSIXErrorBase
        return of_posix(code - 100000);
    switch (code) {
    case -43:  // fnfErr
    case -120: // dirNFErr
    case -35:  // nsvErr
        return certain(ENOENT);
    case -54:   // permErr
    case -61:   // wrPermErr
    case -5000: // afpAccessDenied
        return certain(EACCES);
    case -45: // fLckdErr
        return certain(EPERM);
    case -44: // wPrErr
    case -46: // vLckdErr
        return certain(EROFS);
    case -48: // dupFNErr
        return certain(EEXIST);
    case -34: // dskFulErr
        return certain(ENOSPC);
    case -47: // fBsyErr
        return certain(EBUSY);
    case -42: // tmfoErr
        return certain(EMFILE);
    case -108: // memFullErr
        return certain(ENOMEM);
    case -36: // ioErr
        return uncertain(EIO);
    case -37: // bdNamErr
    case -50: // paramErr
        return uncertain(EINVAL);
    default:
        return none;
    }
}

applevz_condition applevz_condition_of_code(enum applevz_error_domain number, NSString *domain, NSInteger code) {
    switch (number) {
    case APPLEVZ_ERROR_DOMAIN_VIRTUALIZATION:
        return code == VZErrorOutOfDiskSpace ? certain(ENOSPC) : none;
    case APPLEVZ_ERROR_DOMAIN_BRIDGE:
        return none;
    case APPLEVZ_ERROR_DOMAIN_POSIX:
        return of_posix(code);
    case APPLEVZ_ERROR_DOMAIN_OTHER:
        break;
    }
    if ([domain isEqualToString:NSCocoaErrorDomain])
        return of_cocoa(code);
    return [domain isEqualToString:NSOSStatusErrorDomain] ? of_status(code) : none;
}

#pragma mark An error and all beneath it

/// nil where there is none. What others put there need not be errors.
static NSArray *errors_beneath(NSError *error) {
    NSDictionary *information = error.userInfo;
    id one = information[NSUnderlyingErrorKey];
    id several = information[NSMultipleUnderlyingErrorsKey];
    if (one == nil && several == nil)
        return nil;
    NSMutableArray *errors = [NSMutableArray array];
    if ([one isKindOfClass:[NSError class]])
        [errors addObject:one];
    if ([several isKindOfClass:[NSArray class]])
        for (id other in several)
            if ([other isKindOfClass:[NSError class]])
                [errors addObject:other];
    return errors;
}

/// Calls the block with the error and with each beneath it, until that says NO.
static BOOL visit(NSError *error, int depth, int *left, __attribute__((noescape)) BOOL (^block)(NSError *error)) {
    if (--*left < 0 || !block(error))
        return NO;
    if (depth == DEEPEST)
        return YES;
    for (NSError *other in errors_beneath(error))
        if (!visit(other, depth + 1, left, block))
            return NO;
    return YES;
}

applevz_condition applevz_condition_of_error(NSError *error) {
    // By what they are worth: of NSPOSIXErrorDomain or of another, certain or not.
    int64_t codes[4] = {0};
    int64_t *found = codes; // which a block can capture
    int left = MOST;
    visit(error, 1, &left, ^BOOL(NSError *one) {
        enum applevz_error_domain number = applevz_number_of_domain(one.domain);
        applevz_condition condition = applevz_condition_of_code(number, one.domain, one.code);
        int place = (condition.certain ? 0 : 2) + (number == APPLEVZ_ERROR_DOMAIN_POSIX ? 0 : 1);
        if (found[place] == 0)
            found[place] = condition.code;
        return found[0] == 0;
    });
    for (int place = 0; place < 4; place++)
        if (codes[place] != 0)
            return (applevz_condition){codes[place], place < 2};
    return none;
}

NSString *applevz_file_of_error(NSError *error) {
    __block NSString *file = nil;
    int left = MOST;
    visit(error, 1, &left, ^BOOL(NSError *one) {
        id url = one.userInfo[NSURLErrorKey];
        id path = one.userInfo[NSFilePathErrorKey];
        if ([url isKindOfClass:[NSURL class]] && [url isFileURL])
            file = [url absoluteString];
        else if ([path isKindOfClass:[NSString class]])
            file = path;
        return file == nil;
    });
    return file;
}

NSError *applevz_error_beneath(NSError *error) {
    NSArray<NSError *> *errors = errors_beneath(error);
    for (NSError *other in errors)
        if (errors.count > 1 && applevz_condition_of_error(other).code != 0)
            return other;
    return errors.firstObject;
}
