// SPDX-License-Identifier: Apache-2.0
#import "files.h"
#import "conditions.h"
#import "errors.h"
#import "guard.h"
#import "text.h"
#import <Virtualization/Virtualization.h>
#import <errno.h>
#import <fcntl.h>
#import <shown_text.h>
#import <string.h>
#import <sys/stat.h>
#import <sys/statvfs.h>
#import <unistd.h>

enum { LONGEST_SHOWN_PATH = 400, DEEPEST_CAUSE = 8 };

static NSString *words_of(int number) {
    return [NSString stringWithUTF8String:strerror(number)] ?: [NSString stringWithFormat:@"error %d", number];
}

#pragma mark Looking

/// 0 or errno. By the effective user: a program may have changed it.
static int error_of_access(const char *path, int mode) {
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 ? 0 : errno;
}

static BOOL is_full(const char *folder) {
    struct statvfs status;
    if (statvfs(folder, &status) != 0)
        return NO;
    // What has no blocks or no files at all does not count them.
    BOOL is_root = geteuid() == 0;
    return (status.f_blocks > 0 && (is_root ? status.f_bfree : status.f_bavail) == 0) ||
           (status.f_files > 0 && (is_root ? status.f_ffree : status.f_favail) == 0);
}

@implementation AppleVZNamedFile {
    NSData *_path; // a C string
    NSString *_field;
    AppleVZFileUse _use;
}

- (instancetype)initWithPath:(const char *)path length:(size_t)length field:(NSString *)field use:(AppleVZFileUse)use {
    self = [super init];
    if (self != nil) {
        NSMutableData *data = [NSMutableData dataWithBytes:path length:length];
        [data appendBytes:"" length:1];
        _path = data;
        _field = [field copy];
        _use = use;
    }
    return self;
}

- (instancetype)initWithURL:(NSURL *)url field:(NSString *)field use:(AppleVZFileUse)use {
    __attribute__((objc_precise_lifetime)) NSData *path = applevz_path_of_file_url(url);
    return path != nil ? [self initWithPath:path.bytes length:path.length field:field use:use] : nil;
}

- (const char *)path {
    return _path.bytes;
}

- (size_t)length {
    return _path.length - 1;
}

/// What stands against a new file; 0 where nothing does.
- (int)errorOfMaking:(NSString **)what {
    const char *path = self.path;
    __attribute__((objc_precise_lifetime)) NSMutableData *data =
        [NSMutableData dataWithBytes:path length:(size_t)(strrchr(path, '/') + 1 - path)];
    [data appendBytes:"" length:1];
    const char *folder = data.bytes;
    struct stat status;
    *what = @"whose folder cannot be found";
    if (stat(folder, &status) != 0)
        return errno;
    *what = @"whose folder cannot be written";
    int number = error_of_access(folder, W_OK | X_OK);
    if (number != 0)
        return number;
    *what = @"whose file system is full";
    return is_full(folder) ? ENOSPC : 0;
}

/// What stands against the use of a file that is there, whose status that is.
- (int)errorOfStatus:(const struct stat *)status what:(NSString **)what {
    *what = @"which is there already";
    if (_use & AppleVZFileIsNew)
        return EEXIST;
    *what = @"which is there already and is not a regular file";
    if (_use & AppleVZFileReplaces && !S_ISREG(status->st_mode))
        return EEXIST;
    BOOL is_folder = S_ISDIR(status->st_mode);
    BOOL shall_be_folder = (_use & AppleVZFileIsFolder) != 0;
    if (is_folder != shall_be_folder) {
        *what = is_folder ? @"which is a directory" : @"which is not a directory";
        return is_folder ? EISDIR : ENOTDIR;
    }
    *what = @"which is not a socket";
    if (_use & AppleVZFileIsSocket && !S_ISSOCK(status->st_mode))
        return ENOTSOCK;
    if (_use & AppleVZFileIsRead) {
        *what = @"which cannot be read";
        int number = error_of_access(self.path, shall_be_folder ? R_OK | X_OK : R_OK);
        if (number != 0)
            return number;
    }
    *what = @"which cannot be written";
    return _use & AppleVZFileIsWritten ? error_of_access(self.path, W_OK) : 0;
}

/// errno of what stands against the use of the file; 0 where nothing does.
- (int)lookFor:(NSString **)what {
    const AppleVZFileUse making = AppleVZFileIsMade | AppleVZFileIsNew | AppleVZFileReplaces;
    struct stat status;
    // A new file's name may not be a link's either.
    int result = _use & AppleVZFileIsNew ? lstat(self.path, &status) : stat(self.path, &status);
    if (result == 0) {
        int found = [self errorOfStatus:&status what:what];
        // Where the old one is not written to, a new one takes its place.
        BOOL needs_folder = _use & AppleVZFileReplaces && !(_use & AppleVZFileIsWritten);
        return found == 0 && needs_folder ? [self errorOfMaking:what] : found;
    }
    int number = errno;
    *what = @"which cannot be found";
    if (number != ENOENT || !(_use & making))
        return number;
    *what = @"which is a symbolic link to a missing file";
    if (lstat(self.path, &status) == 0)
        return ENOENT;
    return [self errorOfMaking:what];
}

#pragma mark Words

- (NSString *)shownPath {
    NSString *text = [[NSString alloc] initWithBytes:self.path length:self.length encoding:NSUTF8StringEncoding];
    return applevz_shown_text(text ?: applevz_shown_bytes(self.path, self.length), LONGEST_SHOWN_PATH, NO);
}

/// `URL is "/tmp/disk.img", which cannot be found: No such file or directory.`
- (NSString *)sentenceWith:(NSString *)what number:(int)number {
    NSString *words = number == 0 ? @"" : [NSString stringWithFormat:@", %@: %@", what, words_of(number)];
    return [NSString stringWithFormat:@"%@ is \"%@\"%@.", _field, self.shownPath, words];
}

/// The suggestion for an errno that a look may find; nil for any other.
- (nullable NSString *)suggestionFor:(int64_t)number {
    BOOL is_written = (_use & AppleVZFileIsWritten) != 0;
    switch (number) {
    case EEXIST:
        return @"Give a name that no file has, or remove what is there.";
    case ENOSPC:
        return @"Make room, or name a file in another file system.";
    case ENOENT:
    case EACCES:
    case EPERM:
    case EROFS:
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENOTSOCK:
        break;
    default:
        return nil;
    }
    if (_use & (AppleVZFileIsMade | AppleVZFileIsNew | AppleVZFileReplaces))
        return @"Name a file that this user may write, or a new file in a folder that is there and that this user may "
               @"write.";
    if (_use & AppleVZFileIsFolder)
        return @"Name an existing directory that this user may read.";
    if (_use & AppleVZFileIsSocket)
        return @"Name the socket of a server that runs.";
    if (number == EACCES || number == EPERM || number == EROFS)
        return is_written ? @"Give this user the permission to read and write the file."
                          : @"Give this user the permission to read the file.";
    return is_written ? @"Name an existing file that this user may read and write."
                      : @"Name an existing file that this user may read.";
}

/// Whether a text that another error has is this file's name: as a URL, or as a path.
- (BOOL)isNamed:(NSString *)text {
    if (![text hasPrefix:@"file:"])
        return [text isEqualToString:[[NSString alloc] initWithBytes:self.path
                                                              length:self.length
                                                            encoding:NSUTF8StringEncoding]];
    __attribute__((objc_precise_lifetime)) NSData *path = applevz_path_of_file_url([NSURL URLWithString:text]);
    return path.length == self.length && memcmp(path.bytes, self.path, path.length) == 0;
}

@end

#pragma mark Errors

static void name_file(NSMutableDictionary *information, const char *path, size_t length) {
    NSString *text = [[NSString alloc] initWithBytes:path length:length encoding:NSUTF8StringEncoding];
    information[NSFilePathErrorKey] = text ?: applevz_shown_bytes(path, length);
    NSError *error = nil; // a path that is no absolute one has no URL
    information[NSURLErrorKey] = applevz_file_url(path, length, @"path", &error);
}

NSError *applevz_error_with_file(NSError *error, const char *path, size_t length) {
    return applevz_changed_error(error, ^(NSMutableDictionary *information) {
        name_file(information, path, length);
    });
}

static BOOL may_be_about_files(NSError *refusal) {
    switch (applevz_number_of_domain(refusal.domain)) {
    case APPLEVZ_ERROR_DOMAIN_BRIDGE:
        return refusal.code == APPLEVZ_BRIDGE_ERROR_EXCEPTION;
    case APPLEVZ_ERROR_DOMAIN_VIRTUALIZATION:
        break;
    default:
        return YES;
    }
    switch (refusal.code) {
    case APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE:
    case APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE_TRANSITION:
    case APPLEVZ_ERROR_VIRTUAL_MACHINE_LIMIT_EXCEEDED:
    case APPLEVZ_ERROR_NETWORK_ERROR:
    case APPLEVZ_ERROR_OPERATION_CANCELLED:
    case APPLEVZ_ERROR_NOT_SUPPORTED:
    case APPLEVZ_ERROR_USB_CONTROLLER_NOT_FOUND:
    case APPLEVZ_ERROR_DEVICE_ALREADY_ATTACHED:
    case APPLEVZ_ERROR_DEVICE_NOT_FOUND:
        return NO;
    default:
        return YES;
    }
}

/// The error with the cause at the end of its chain, or in the place of an error there that says nothing certain.
static NSError *with_cause(NSError *error, NSError *cause, int depth) {
    if ([error.domain isEqualToString:NSPOSIXErrorDomain] && depth > 0)
        return cause;
    return applevz_changed_error(error, ^(NSMutableDictionary *information) {
        id beneath = information[NSUnderlyingErrorKey];
        BOOL goes_on = [beneath isKindOfClass:[NSError class]] && depth < DEEPEST_CAUSE;
        information[NSUnderlyingErrorKey] = goes_on ? with_cause(beneath, cause, depth + 1) : cause;
    });
}

/// The sentence behind the reason, unless the refusal has the file's name in its words.
static NSError *with_sentence(NSError *refusal, AppleVZNamedFile *file, NSString *sentence) {
    NSString *reason = refusal.localizedFailureReason;
    NSString *told = [NSString stringWithFormat:@"%@ %@", refusal.localizedDescription, reason ?: @""];
    if ([told rangeOfString:file.shownPath].location != NSNotFound)
        return refusal;
    // The system's words for a number are in the sentence.
    if ([refusal.domain isEqualToString:NSPOSIXErrorDomain] &&
        refusal.userInfo[NSLocalizedFailureReasonErrorKey] == nil)
        reason = nil;
    NSString *longer = sentence;
    if (reason.length > 0)
        longer = [NSString stringWithFormat:@"%@%@ %@", reason, [reason hasSuffix:@"."] ? @"" : @".", sentence];
    return applevz_changed_error(refusal, ^(NSMutableDictionary *information) {
        information[NSLocalizedFailureReasonErrorKey] = longer;
        // A description of its own may have the reason in it; one that is made of the parts has it.
        NSString *description = information[NSLocalizedDescriptionKey];
        if ([description isKindOfClass:[NSString class]] && reason.length > 0)
            information[NSLocalizedDescriptionKey] = [description stringByReplacingOccurrencesOfString:reason
                                                                                            withString:longer];
    });
}

static NSError *with_other_suggestion(NSError *refusal, NSString *suggestion) {
    if (suggestion == nil || refusal.localizedRecoverySuggestion != nil)
        return refusal;
    return applevz_changed_error(refusal, ^(NSMutableDictionary *information) {
        information[NSLocalizedRecoverySuggestionErrorKey] = suggestion;
    });
}

/// One of NSPOSIXErrorDomain that stands for many faults is not the cause of what was found, and keeps nothing but its
/// words.
static NSError *in_place_of(NSError *refusal, NSError *cause, NSString *sentence) {
    NSString *words = refusal.localizedFailureReason ?: refusal.localizedDescription;
    NSString *reason =
        [NSString stringWithFormat:@"%@ The framework said: %@ %ld, %@.", sentence, refusal.domain, (long)refusal.code,
                                   [words hasSuffix:@"."] ? [words substringToIndex:words.length - 1] : words];
    NSString *suggestion = refusal.localizedRecoverySuggestion;
    return applevz_changed_error(cause, ^(NSMutableDictionary *information) {
        information[NSLocalizedFailureReasonErrorKey] = reason;
        if (suggestion != nil)
            information[NSLocalizedRecoverySuggestionErrorKey] = suggestion;
    });
}

/// Whether the framework and a look may mean the same fault.
static BOOL are_alike(int64_t first, int64_t second) {
    BOOL first_forbids = first == EACCES || first == EPERM || first == EROFS;
    BOOL second_forbids = second == EACCES || second == EPERM || second == EROFS;
    return first == second || (first_forbids && second_forbids);
}

static AppleVZNamedFile *_Nullable file_named(NSArray<AppleVZNamedFile *> *files, NSString *name) {
    for (AppleVZNamedFile *file in files)
        if ([file isNamed:name])
            return file;
    return nil;
}

static NSError *refusal_of_files(NSError *refusal, AppleVZNamedFile *subject, NSArray<AppleVZNamedFile *> *others) {
    applevz_condition condition = applevz_condition_of_error(refusal);
    NSString *named = applevz_file_of_error(refusal);
    NSArray<AppleVZNamedFile *> *candidates = subject != nil ? @[ subject ] : others;
    AppleVZNamedFile *file = named != nil ? file_named(candidates, named) : nil;
    if (condition.certain && named != nil && (subject == nil || file != nil))
        return with_other_suggestion(refusal, [file suggestionFor:condition.code]);
    // One that is named is the one that it is about.
    if (file != nil)
        candidates = @[ file ];
    file = nil;
    NSString *what = nil;
    int number = 0;
    for (AppleVZNamedFile *candidate in candidates) {
        number = [candidate lookFor:&what];
        if (number != 0 && (!condition.certain || are_alike(number, condition.code))) {
            file = candidate;
            break;
        }
        number = 0;
    }
    file = file ?: subject;
    if (file == nil)
        return refusal;
    NSString *sentence = [file sentenceWith:what number:number];
    NSError *result = refusal;
    if (number != 0 && !condition.certain) {
        NSError *cause = applevz_error_with_file(applevz_posix_error(number), file.path, file.length);
        result = [refusal.domain isEqualToString:NSPOSIXErrorDomain] ? in_place_of(refusal, cause, sentence)
                                                                     : with_cause(refusal, cause, 0);
    }
    result =
        with_other_suggestion(with_sentence(result, file, sentence), [file suggestionFor:number ?: condition.code]);
    return applevz_error_with_file(result, file.path, file.length);
}

NSError *applevz_refusal_of_files(NSError *refusal, AppleVZNamedFile *subject, NSArray<AppleVZNamedFile *> *others) {
    if (refusal == nil || !may_be_about_files(refusal))
        return refusal;
    // Whatever comes of the look, there is the refusal.
    __block NSError *result = refusal;
    (void)applevz_error_raised_by(^{
        result = refusal_of_files(refusal, subject, others);
    });
    return result;
}
