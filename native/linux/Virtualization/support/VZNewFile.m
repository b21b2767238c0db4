// SPDX-License-Identifier: Apache-2.0
#import "VZNewFile+Private.h"
#import "VZHostFile+Private.h"
#import "VZTemporaryNames+Private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

@implementation VZNewFile {
    HostDescriptor *_folder;
    int _folderError;
    NSString *_name;
    NSString *_temporary; // the file's name meanwhile, where it has one
}

- (instancetype)initForPath:(NSString *)path {
    if ((self = [super init])) {
        NSString *name = nil;
        NSError *cause = nil;
        _folder = [HostDescriptor openPath:VZFolderOfPath(path, &name) flags:O_PATH | O_DIRECTORY error:&cause];
        // A name with a slash at its end is a folder's.
        _folderError = !_folder ? (int)cause.code : name.length == 0 ? EISDIR : 0;
        _name = name;
    }
    return self;
}

// Where its maker ended before the last step, nobody gives up.
- (void)dealloc {
    [self removeTemporaryName];
}

- (BOOL)findName:(struct stat *)status {
    return _folderError == 0 && fstatat(_folder.number, VZBytesOfPath(_name), status, AT_SYMLINK_NOFOLLOW) == 0;
}

- (int)lookForNameToBeReplaced:(BOOL)replaced {
    struct stat status;
    // Nothing can have a name that is too long, and no file can get it.
    if (_folderError != 0 || ![self findName:&status]) {
        return _folderError != 0 ? _folderError : errno == ENOENT ? 0 : errno;
    }
    if (replaced && (S_ISREG(status.st_mode) || S_ISLNK(status.st_mode))) {
        return 0;
    }
    return replaced && S_ISDIR(status.st_mode) ? EISDIR : EEXIST;
}

- (BOOL)isInFileSystemOf:(HostDescriptor *)file {
    struct stat status, folderStatus;
    return _folderError == 0 && fstat(file.number, &status) == 0 && fstat(_folder.number, &folderStatus) == 0 &&
           status.st_dev == folderStatus.st_dev;
}

- (int)create {
    if (_folderError != 0) {
        return _folderError;
    }
    VZRemoveLeftFiles(_folder);
    NSError *cause = nil;
    _file = [HostDescriptor createIn:_folder name:@"." flags:O_TMPFILE | O_RDWR error:&cause];
    // A kernel or file system that does not know the flag takes it for opening the folder itself. Then it is a file
    // with a name that nobody else has.
    if (!_file && (cause.code == EOPNOTSUPP || cause.code == EISDIR || cause.code == ENOENT)) {
        NSString *name = nil;
        _file = VZNewTemporaryFile(_folder, 0, &name, &cause);
        _temporary = _file ? name : nil;
    }
    return _file ? 0 : (int)cause.code;
}

- (void)adopt:(HostDescriptor *)file {
    [self removeTemporaryName];
    VZRemoveLeftFiles(_folder);
    _file = file;
}

- (int)linkAs:(NSString *)name {
    if (_folderError != 0) {
        return _folderError;
    }
    int result = _temporary
                     ? linkat(_folder.number, VZBytesOfPath(_temporary), _folder.number, VZBytesOfPath(name), 0)
                     : linkat(AT_FDCWD, VZBytesOfPath([NSString stringWithFormat:@"/proc/self/fd/%d", _file.number]),
                              _folder.number, VZBytesOfPath(name), AT_SYMLINK_FOLLOW);
    return result == 0 ? 0 : errno;
}

- (int)giveName {
    int number = [self linkAs:_name];
    // Not every file system has more than one name for a file.
    if (_temporary && (number == EPERM || number == EOPNOTSUPP)) {
        int result = renameat2(_folder.number, VZBytesOfPath(_temporary), _folder.number, VZBytesOfPath(_name),
                               RENAME_NOREPLACE);
        number = result == 0 ? 0 : errno;
    }
    [self removeTemporaryName];
    return number;
}

- (int)replace {
    struct stat status;
    int found = [self lookForNameToBeReplaced:YES];
    if (found != 0) {
        return found;
    }
    if ([self findName:&status] && S_ISREG(status.st_mode)) {
        fchmod(_file.number, status.st_mode & 0777);
    }
    if (!_temporary) {
        NSString *name = VZNewTemporaryName();
        int number = VZHoldTemporaryFile(_file) ? [self linkAs:name] : EAGAIN;
        if (number != 0) {
            VZLetGoOfTemporaryFile(_file);
            return number;
        }
        _temporary = name;
    }
    int result = renameat(_folder.number, VZBytesOfPath(_temporary), _folder.number, VZBytesOfPath(_name));
    int number = result == 0 ? 0 : errno;
    [self removeTemporaryName];
    return number;
}

- (void)giveUp {
    [self removeTemporaryName];
    _file = nil;
}

- (void)removeTemporaryName {
    if (_temporary) {
        unlinkat(_folder.number, VZBytesOfPath(_temporary), 0);
        VZLetGoOfTemporaryFile(_file);
    }
    _temporary = nil;
}

@end
