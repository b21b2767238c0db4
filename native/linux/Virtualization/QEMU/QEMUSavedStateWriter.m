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

/// 0 or errno; EXDEV where the file cannot have a name in that folder.
static int hand_over(QEMUDescriptor *memory, NSString *path, QEMUStateStream *stream, NSData *description) {
    uint64_t length = size_of(memory.number);
    uint64_t checksum = 0;
    int failure = qemu_check_memory(memory.number, QEMU_MEMORY_OURS, (off_t)length, &checksum);
    if (failure == 0)
        failure = write_rest(memory.number, length, checksum, stream, description);
    if (failure == 0)
        failure = name_file(memory, nil, path);
    // It is the machine's memory again, and nothing else. Shortening a file does not fail for want of room.
    if (failure != 0 && ftruncate(memory.number, (off_t)length) != 0)
        return errno;
    if (failure == 0)
        QEMURememberWrittenFile(memory);
    return failure;
}

static int write_copy(QEMUDescriptor *memory, NSString *path, QEMUStateStream *stream, NSData *description) {
    NSString *temporary = nil;
    NSError *cause = nil;
    QEMUDescriptor *file = create(path.stringByDeletingLastPathComponent, &temporary, &cause);
    if (file == nil)
        return (int)cause.code;
    uint64_t length = memory != nil ? size_of(memory.number) : 0;
    uint64_t checksum = 0;
    int failure = memory == nil ? 0
                                : qemu_copy_memory(memory.number, QEMU_MEMORY_OURS, (off_t)length, file.number, &checksum);
    if (failure == 0)
        failure = write_rest(file.number, length, checksum, stream, description);
    if (failure == 0)
        failure = name_file(file, temporary, path);
    if (temporary != nil)
        unlink(temporary.fileSystemRepresentation);
    if (failure == 0)
        QEMURememberWrittenFile(file);
    return failure;
}

BOOL QEMUWriteSavedState(NSString *path, QEMUDescriptor *memory, BOOL handOver, QEMUStateStream *stream,
                         NSString *version, NSArray<NSArray<NSString *> *> *fields, NSError **error) {
    struct stat status;
    // Looked at first, since the rest takes its time; that no file is there in the end is seen to by its naming.
    if (lstat(path.fileSystemRepresentation, &status) == 0)
        return VZRefuse(error, error_of(EEXIST, path));
    NSData *description = [NSJSONSerialization dataWithJSONObject:@{@"qemu" : version, @"fields" : fields}
                                                          options:0
                                                            error:NULL];
    int failure = EXDEV;
    if (handOver && memory != nil && is_in_file_system_of(memory, path.stringByDeletingLastPathComponent))
        failure = hand_over(memory, path, stream, description);
    // One device can be mounted at two places, between which files have no names in common.
    if (failure == EXDEV)
        failure = write_copy(memory, path, stream, description);
    return failure == 0 || VZRefuse(error, error_of(failure, path));
}
