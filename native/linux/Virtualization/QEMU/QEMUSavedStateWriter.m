// SPDX-License-Identifier: Apache-2.0
#import "QEMUSavedStateWriter.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUMemoryCopy.h"
#import "QEMUSavedStateFormat.h"
#import "QEMUSoundFiles.h"
#import <errno.h>
#import <fcntl.h>
#import <stdio.h>
#import <stdlib.h>
#import <sys/mman.h>
#import <sys/stat.h>
#import <unistd.h>

NSError *QEMUSaveError(NSString *reason, NSString *suggestion, NSError *underlying) {
    return VZErrorWithReason(VZErrorSave, @"The virtual machine could not be saved.", reason, suggestion, underlying);
}

@implementation QEMUStateStream

- (instancetype)initWithError:(NSError **)error {
    self = [super init];
    if (self != nil)
        _file = [QEMUDescriptor memoryOfSize:0 error:error];
    return _file != nil ? self : nil;
}

@end

#pragma mark Writing, which gives 0 or errno

static uint64_t size_of(int file) {
    struct stat status;
    return fstat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static int copy_stream(int stream, uint64_t length, int file, off_t position, uint64_t *checksum) {
    if (length == 0)
        return 0;
    void *bytes = mmap(NULL, (size_t)length, PROT_READ, MAP_SHARED, stream, 0);
    if (bytes == MAP_FAILED)
        return errno;
    *checksum = qemu_saved_state_checksum(bytes, length);
    int failure = qemu_write_at(file, bytes, (size_t)length, position);
    munmap(bytes, (size_t)length);
    return failure;
}

/// Writes what follows the memory, which is in the file already.
static int write_rest(int file, uint64_t memory_length, uint64_t memory_checksum, QEMUStateStream *stream,
                      NSData *description) {
    qemu_saved_state_trailer trailer = {
        .memory_length = memory_length,
        .stream_length = size_of(stream.file.number),
        .description_length = description.length,
        .memory_checksum = memory_checksum,
        .description_checksum = qemu_saved_state_checksum(description.bytes, description.length),
        .version = QEMU_SAVED_STATE_VERSION,
    };
    memcpy(trailer.magic, qemu_saved_state_magic, sizeof trailer.magic);
    off_t position = (off_t)memory_length;
    int failure = copy_stream(stream.file.number, trailer.stream_length, file, position, &trailer.stream_checksum);
    position += (off_t)trailer.stream_length;
    if (failure == 0)
        failure = qemu_write_at(file, description.bytes, description.length, position);
    position += (off_t)description.length;
    trailer.trailer_checksum =
        qemu_saved_state_checksum(&trailer, offsetof(qemu_saved_state_trailer, trailer_checksum));
    return failure != 0 ? failure : qemu_write_at(file, (const char *)&trailer, sizeof trailer, position);
}

#pragma mark The file and its name

/// A file without a name in the folder; where the file system has none of those, one with a name that nobody else has.
static QEMUDescriptor *create(NSString *folder, NSString **name, NSError **error) {
    NSError *cause = nil;
    QEMUDescriptor *file = [QEMUDescriptor openPath:folder flags:O_TMPFILE | O_RDWR error:&cause];
    // A kernel or file system that does not know the flag takes it for opening the folder itself.
    if (file == nil && (cause.code == EOPNOTSUPP || cause.code == EISDIR || cause.code == ENOENT)) {
        *name = [folder stringByAppendingPathComponent:[NSString stringWithFormat:@".applevz-%@", [NSUUID UUID].UUIDString]];
        file = [QEMUDescriptor openPath:*name flags:O_CREAT | O_EXCL | O_RDWR error:&cause];
    }
    if (file == nil)
        VZRefuse(error, cause);
    return file;
}

/// Gives the file its name, which nothing may have. 0 or errno.
static int name_file(QEMUDescriptor *file, NSString *temporary, NSString *path) {
    NSString *from = temporary ?: [NSString stringWithFormat:@"/proc/self/fd/%d", file.number];
    const char *name = path.fileSystemRepresentation;
    return linkat(AT_FDCWD, from.fileSystemRepresentation, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

static NSError *error_of(int number, NSString *path) {
    NSString *suggestion = nil;
    if (number == EEXIST)
        suggestion = @"Give a name that no file has, or remove the file.";
    else if (number == ENOSPC || number == EDQUOT || number == EFBIG)
        suggestion = @"Make room, or save to another file system. The machine is as it was, and can be saved again.";
    return QEMUSaveError([NSString stringWithFormat:@"%@ cannot be written: %@.", VZQuoted(path),
                                                    VZSystemCallErrorText(number)],
                         suggestion, VZSystemCallError(number, path));
}

static BOOL is_in_file_system_of(QEMUDescriptor *file, NSString *folder) {
    struct stat file_status, folder_status;
    return fstat(file.number, &file_status) == 0 && stat(folder.fileSystemRepresentation, &folder_status) == 0 &&
           file_status.st_dev == folder_status.st_dev;
}

@implementation QEMUSavedStateWriter {
    NSString *_path;
    QEMUDescriptor *_memory;
    uint64_t _memoryLength, _memoryChecksum;
    BOOL _handsOver;
    QEMUDescriptor *_file; // what becomes the saved state
    NSString *_temporary;  // its name meanwhile, where it has one
}

- (instancetype)initWithPath:(NSString *)path memory:(QEMUDescriptor *)memory handingOver:(BOOL)handingOver {
    self = [super init];
    if (self != nil) {
        _path = path;
        _memory = memory;
        _memoryLength = memory != nil ? size_of(memory.number) : 0;
        _handsOver = handingOver && memory != nil;
    }
    return self;
}

// Where QEMU ended between the steps, nobody gives up.
- (void)dealloc {
    [self removeTemporaryName];
}

- (BOOL)writeMemoryWithError:(NSError **)error {
    struct stat status;
    // Looked at first, since the rest takes its time; that no file is there in the end is seen to by its naming.
    int failure = lstat(_path.fileSystemRepresentation, &status) == 0 ? EEXIST : 0;
    _handsOver = _handsOver && is_in_file_system_of(_memory, _path.stringByDeletingLastPathComponent);
    if (failure == 0)
        failure = _handsOver ? [self checkMemory] : [self copyMemory];
    return failure == 0 || [self failed:failure error:error];
}

- (BOOL)finishWithStream:(QEMUStateStream *)stream
                 version:(NSString *)version
                  fields:(NSArray<NSArray<NSString *> *> *)fields
                   error:(NSError **)error {
    NSData *description = [NSJSONSerialization dataWithJSONObject:@{@"qemu" : version, @"fields" : fields}
                                                          options:0
                                                            error:NULL];
    int failure = [self finishFileWithStream:stream description:description];
    // One device can be mounted at two places, between which files have no names in common.
    if (failure == EXDEV && _handsOver) {
        _handsOver = NO;
        failure = [self copyMemory];
        if (failure == 0)
            failure = [self finishFileWithStream:stream description:description];
    }
    return failure == 0 || [self failed:failure error:error];
}

- (void)giveUp {
    [self removeTemporaryName];
    _file = nil;
}

- (BOOL)failed:(int)failure error:(NSError **)error {
    [self giveUp];
    return VZRefuse(error, error_of(failure, _path));
}

- (void)removeTemporaryName {
    if (_temporary != nil)
        unlink(_temporary.fileSystemRepresentation);
    _temporary = nil;
}

// These give 0 or errno.

- (int)checkMemory {
    _file = _memory;
    return qemu_check_memory(_memory.number, (off_t)_memoryLength, QEMU_MEMORY_ALONE, &_memoryChecksum);
}

- (int)copyMemory {
    NSError *cause = nil;
    NSString *temporary = nil;
    _file = create(_path.stringByDeletingLastPathComponent, &temporary, &cause);
    _temporary = temporary;
    if (_file == nil)
        return (int)cause.code;
    if (_memory == nil)
        return 0;
    return qemu_copy_memory(_memory.number, (off_t)_memoryLength, _file.number, false, QEMU_MEMORY_ALONE, &_memoryChecksum);
}

/// EXDEV where the file cannot have a name in that folder.
- (int)finishFileWithStream:(QEMUStateStream *)stream description:(NSData *)description {
    int failure = write_rest(_file.number, _memoryLength, _memoryChecksum, stream, description);
    if (failure == 0)
        failure = name_file(_file, _temporary, _path);
    [self removeTemporaryName];
    // Handed over in vain, it is the machine's memory again, and nothing else. Shortening a file does not fail for want of room.
    if (failure != 0 && _handsOver && ftruncate(_file.number, (off_t)_memoryLength) != 0)
        return errno;
    if (failure == 0)
        QEMURememberWrittenFile(_file);
    return failure;
}

@end
