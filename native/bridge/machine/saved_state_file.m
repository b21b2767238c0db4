// SPDX-License-Identifier: Apache-2.0
#import "saved_state_file.h"
#import "boundary/descriptors.h"
#import "boundary/files.h"
#import "boundary/refusals.h"
#import "saved_state_errors.h"
#import "saved_state_leftovers.h"
#import "boundary/text.h"
#import <saving_suggestions.h>
#import <errno.h>
#import <fcntl.h>
#import <stdio.h>
#import <string.h>
#import <sys/stat.h>
#import <sys/stdio.h>
#import <unistd.h>

static NSData *terminated(const void *bytes, size_t length, const char *more) {
    NSMutableData *data = [NSMutableData dataWithBytes:bytes length:length];
    [data appendBytes:more length:strlen(more) + 1];
    return data;
}

@implementation AppleVZSavedStateFile {
    NSURL *_url;
    BOOL _overwrites;
    NSData *_path, *_temporaryPath, *_folderPath; // with a NUL after each
    size_t _folderLength;                         // of the paths: up to the last slash, and with it
    int _folder; // -1 where it is used by its path, since it may be searched and not read
    NSString *_temporaryName;
    mode_t _mode; // that the file is to have
    pid_t _process;
    BOOL _isOver; // published, or given up
}

- (instancetype)initWithURL:(NSURL *)url overwriting:(BOOL)overwriting {
    self = [super init];
    if (self == nil)
        return nil;
    _url = url;
    _overwrites = overwriting;
    _folder = -1;
    _mode = S_IRUSR | S_IWUSR;
    _process = getpid();
    _isOver = YES; // nothing is to be removed yet
    NSData *bytes = applevz_path_of_file_url(url);
    _path = terminated(bytes.bytes, bytes.length, "");
    const char *path = _path.bytes;
    _folderLength = (size_t)(strrchr(path, '/') + 1 - path);
    _folderPath = terminated(path, _folderLength, "");
    _temporaryName = applevz_new_temporary_name();
    _temporaryPath = terminated(path, _folderLength, _temporaryName.UTF8String);
    NSError *error = nil; // of what is no absolute path
    _temporaryURL = (NSURL *_Nonnull)applevz_file_url(_temporaryPath.bytes, _temporaryPath.length - 1, @"path", &error);
    return self;
}

- (void)dealloc {
    // In a forked child it is the parent's file.
    if (_process == getpid()) {
        if (!_isOver)
            [self remove];
        applevz_temporary_name_is_free(_temporaryName);
    }
    if (_folder >= 0)
        close(_folder);
}

#pragma mark Names, in the folder

- (int)folder {
    return _folder >= 0 ? _folder : AT_FDCWD;
}

- (const char *)name {
    return (const char *)_path.bytes + (_folder >= 0 ? _folderLength : 0);
}

- (const char *)temporaryName {
    return (const char *)_temporaryPath.bytes + (_folder >= 0 ? _folderLength : 0);
}

- (void)remove {
    _isOver = YES;
    if (_folder >= 0)
        applevz_remove_temporary(_folder, _temporaryName);
    else
        unlink(self.temporaryName);
}

#pragma mark Before

- (NSError *)errorOfNumber:(int)number words:(NSString *)words {
    return applevz_save_error(_url, _overwrites, number, words, applevz_saving_suggestion(number, _overwrites));
}

/// Why the name cannot be given to a file. What is replaced is a state that was saved earlier: a device, a FIFO or a
/// folder is none, and who may write to the folder may take away what the whole system uses. A symbolic link is a name
/// like another: it is in the way, or is replaced, and what it leads to stays.
- (NSError *)errorOfName {
    struct stat status;
    // A name with a slash at its end is a folder's.
    if (_folderLength == _path.length - 1)
        return [self errorOfNumber:EISDIR words:nil];
    if (fstatat(self.folder, self.name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? nil : [self errorOfNumber:errno words:nil];
    if (!_overwrites)
        return [self errorOfNumber:EEXIST words:nil];
    if (S_ISDIR(status.st_mode))
        return [self errorOfNumber:EISDIR words:nil];
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
        return [self errorOfNumber:EEXIST words:@"it is not a regular file"];
    // Whoever might read the old one may read the new one.
    if (S_ISREG(status.st_mode))
        _mode = status.st_mode & 0777;
    return nil;
}

- (NSError *)errorOfFolder {
    return faccessat(AT_FDCWD, _folderPath.bytes, W_OK | X_OK, AT_EACCESS) == 0 ? nil
                                                                                : [self errorOfNumber:errno words:nil];
}

- (NSError *)prepare {
    _folder = applevz_descriptor_above_standard(open(_folderPath.bytes, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (_folder < 0 && errno != EACCES)
        return [self errorOfNumber:errno words:nil];
    NSError *error = self.errorOfName ?: self.errorOfFolder;
    if (error != nil)
        return error;
    if (_folder >= 0)
        applevz_remove_leftovers(_folder);
    _isOver = NO;
    return nil;
}

#pragma mark After

/// Gives it the mode that it is to have. nil, or why it is no whole file.
- (NSError *)errorOfWritten {
    int file = openat(self.folder, self.temporaryName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (file < 0)
        return errno == ENOENT ? [self errorOfNumber:0 words:@"the virtualization framework has saved no file"]
                               : [self errorOfNumber:errno words:nil];
    struct stat status;
    BOOL is_file = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    // Not every file system has modes.
    if (is_file)
        fchmod(file, _mode);
    close(file);
    return is_file ? nil
                   : [self errorOfNumber:0 words:@"the virtualization framework has saved something other than a file"];
}

static BOOL cannot_rename_exclusively(int number) {
    return number == ENOTSUP || number == EOPNOTSUPP || number == ENOSYS || number == EINVAL;
}

static BOOL has_one_name_for_a_file(int number) {
    return cannot_rename_exclusively(number) || number == EPERM || number == EMLINK;
}

/// Two names in the folder are one file's.
- (BOOL)isPublished {
    struct stat status, temporary_status;
    return fstatat(self.folder, self.name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(self.folder, self.temporaryName, &temporary_status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_dev == temporary_status.st_dev && status.st_ino == temporary_status.st_ino;
}

/// Takes the name for an empty file, which nobody else can any more, and puts the whole one in its place. In between
/// the empty one can be seen; a process that ends then leaves it.
- (int)replacePlaceholder {
    int file = openat(self.folder, self.name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0)
        return errno;
    close(file);
    if (renameat(self.folder, self.temporaryName, self.folder, self.name) == 0)
        return 0;
    int number = errno;
    unlinkat(self.folder, self.name, 0);
    return number;
}

/// Gives 0 or an errno. Where a file system cannot rename exclusively (NFS), it has several names for a file, mostly;
/// where it has neither, a placeholder is what there is.
- (int)nameExclusively {
    if (renameatx_np(self.folder, self.temporaryName, self.folder, self.name, RENAME_EXCL) == 0)
        return 0;
    if (!cannot_rename_exclusively(errno))
        return errno;
    // A server that was asked twice, since its answer was lost, says that the name is there.
    if (linkat(self.folder, self.temporaryName, self.folder, self.name, 0) == 0 ||
        (errno == EEXIST && [self isPublished])) {
        unlinkat(self.folder, self.temporaryName, 0);
        return 0;
    }
    return has_one_name_for_a_file(errno) ? [self replacePlaceholder] : errno;
}

- (NSError *)publish {
    NSError *error = self.errorOfName ?: self.errorOfWritten;
    if (error == nil) {
        int number = !_overwrites                                                             ? [self nameExclusively]
                     : renameat(self.folder, self.temporaryName, self.folder, self.name) == 0 ? 0
                                                                                              : errno;
        error = number != 0 ? [self errorOfNumber:number words:nil] : nil;
    }
    if (error != nil)
        [self remove];
    _isOver = YES;
    return error;
}

- (void)removeAgain {
    [self remove];
}

- (NSError *)giveUpWithError:(NSError *)failure {
    applevz_note_refusal(failure);
    failure = applevz_error_of_named_file(failure, _temporaryName, _url);
    if (_isOver)
        return failure;
    // Looked at before the file is removed, which makes room.
    AppleVZFileUse use = _overwrites ? AppleVZFileReplaces : AppleVZFileIsNew;
    AppleVZNamedFile *file = [[AppleVZNamedFile alloc] initWithURL:_url field:@"path" use:use];
    failure = applevz_refusal_of_files(failure, file, nil);
    [self remove];
    return failure;
}

@end
