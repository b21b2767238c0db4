// SPDX-License-Identifier: Apache-2.0
#import "QEMUSavedStateWriter.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUSavedStateFormat.h"
#import <errno.h>
#import <fcntl.h>
#import <stdio.h>
#import <stdlib.h>
#import <sys/mman.h>
#import <sys/stat.h>
#import <unistd.h>

// How much is mapped at a time: what is read once need not stay mapped.
enum { PART_LENGTH = 16 * 1024 * 1024 };

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

#pragma mark Writing bytes; 0 or errno

static int write_at(int file, const char *bytes, size_t length, off_t position) {
    while (length > 0) {
        ssize_t count = pwrite(file, bytes, length, position);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : EIO;
        bytes += count;
        length -= (size_t)count;
        position += count;
    }
    return 0;
}

/// Copies a range of a file in memory, whose pages are there already: mapping them saves a copy. `checksum` may be NULL.
static int copy_range(int from, off_t start, off_t end, int to, off_t position, uint64_t *checksum) {
    while (start < end) {
        size_t length = (size_t)MIN(end - start, (off_t)PART_LENGTH);
        void *bytes = mmap(NULL, length, PROT_READ, MAP_SHARED | MAP_POPULATE, from, start);
        if (bytes == MAP_FAILED)
            return errno;
        if (checksum != NULL)
            *checksum = qemu_saved_state_checksum(*checksum, bytes, length);
        int failure = write_at(to, bytes, length, position);
        munmap(bytes, length);
        if (failure != 0)
            return failure;
        start += (off_t)length;
        position += (off_t)length;
    }
    return 0;
}

/// Copies what the guest wrote to; the rest stays a hole.
static int copy_memory(int memory, off_t length, int file) {
    if (ftruncate(file, length) != 0)
        return errno;
    off_t end = 0;
    for (;;) {
        off_t start = lseek(memory, end, SEEK_DATA);
        if (start < 0)
            return errno == ENXIO ? 0 : errno;
        end = lseek(memory, start, SEEK_HOLE);
        if (end < 0)
            return errno;
        int failure = copy_range(memory, start, end, file, start, NULL);
        if (failure != 0)
            return failure;
    }
}

static uint64_t size_of(int file) {
    struct stat status;
    return fstat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static int write_everything(int file, QEMUDescriptor *memory, QEMUStateStream *stream, NSData *description) {
    qemu_saved_state_trailer trailer = {
        .memory_length = memory != nil ? size_of(memory.number) : 0,
        .stream_length = size_of(stream.file.number),
        .description_length = description.length,
        .description_checksum = qemu_saved_state_checksum(0, description.bytes, description.length),
        .version = QEMU_SAVED_STATE_VERSION,
    };
    memcpy(trailer.magic, qemu_saved_state_magic, sizeof trailer.magic);
    int failure = memory != nil ? copy_memory(memory.number, (off_t)trailer.memory_length, file) : 0;
    off_t position = (off_t)trailer.memory_length;
    if (failure == 0)
        failure = copy_range(stream.file.number, 0, (off_t)trailer.stream_length, file, position, &trailer.stream_checksum);
    position += (off_t)trailer.stream_length;
    if (failure == 0)
        failure = write_at(file, description.bytes, description.length, position);
    position += (off_t)description.length;
    trailer.trailer_checksum =
        qemu_saved_state_checksum(0, &trailer, offsetof(qemu_saved_state_trailer, trailer_checksum));
    if (failure == 0)
        failure = write_at(file, (const char *)&trailer, sizeof trailer, position);
    while (failure == 0 && fsync(file) != 0)
        if (errno != EINTR)
            failure = errno;
    return failure;
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
static int name_file(QEMUDescriptor *file, NSString *temporary, NSString *path, NSString *folder) {
    NSString *from = temporary ?: [NSString stringWithFormat:@"/proc/self/fd/%d", file.number];
    if (linkat(AT_FDCWD, from.fileSystemRepresentation, AT_FDCWD, path.fileSystemRepresentation, AT_SYMLINK_FOLLOW) != 0)
        return errno;
    QEMUDescriptor *directory = [QEMUDescriptor openPath:folder flags:O_RDONLY | O_DIRECTORY error:NULL];
    // The name is there; a file system that cannot sync a folder keeps names in its own way.
    if (directory != nil)
        fsync(directory.number);
    return 0;
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

BOOL QEMUWriteSavedState(NSString *path, QEMUDescriptor *memory, QEMUStateStream *stream, NSString *version,
                         NSArray<NSArray<NSString *> *> *fields, NSError **error) {
    struct stat status;
    // Looked at first, since the rest takes its time; that no file is there in the end is seen to by its naming.
    if (lstat(path.fileSystemRepresentation, &status) == 0)
        return VZRefuse(error, error_of(EEXIST, path));
    NSString *folder = path.stringByDeletingLastPathComponent;
    NSString *temporary = nil;
    NSError *cause = nil;
    QEMUDescriptor *file = create(folder, &temporary, &cause);
    if (file == nil)
        return VZRefuse(error, error_of((int)cause.code, path));
    NSData *description = [NSJSONSerialization dataWithJSONObject:@{@"qemu" : version, @"fields" : fields}
                                                          options:0
                                                            error:NULL];
    int failure = write_everything(file.number, memory, stream, description);
    if (failure == 0)
        failure = name_file(file, temporary, path, folder);
    if (temporary != nil)
        unlink(temporary.fileSystemRepresentation);
    return failure == 0 || VZRefuse(error, error_of(failure, path));
}
