// SPDX-License-Identifier: Apache-2.0
#import "QEMUSavedStateWriter.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "support/VZNewFile+Private.h"
#import "QEMUMemoryCopy.h"
#import "QEMUOverlayCopy.h"
#import "host/HostOverlayImage.h"
#import "support/HostFileTransfer.h"
#import "QEMUSavedStateFormat.h"
#import "QEMU/program/QEMUSoundFiles.h"
#import <saving_suggestions.h>
#import <errno.h>
#import <fcntl.h>
#import <sys/stat.h>
#import <unistd.h>

NSError *QEMUSaveError(NSString *reason, NSString *suggestion, NSError *underlying) {
    return VZErrorWithReason(VZErrorSave, nil, reason, suggestion, underlying);
}

@implementation QEMUStateStream

- (instancetype)initWithError:(NSError **)error {
    self = [super init];
    if (self != nil)
        _file = [HostDescriptor memoryOfSize:0 error:error];
    return _file != nil ? self : nil;
}

@end

#pragma mark Writing, which gives 0 or errno

static uint64_t size_of(int file) {
    struct stat status;
    return fstat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static uint64_t whole_pages(uint64_t length) {
    return (length + QEMU_SAVED_STATE_PAGE_LENGTH - 1) / QEMU_SAVED_STATE_PAGE_LENGTH * QEMU_SAVED_STATE_PAGE_LENGTH;
}

/// Writes one overlay. What is at that place is a hole.
static int write_layer(QEMUDiskLayer *layer, uint64_t disk_size, int file, uint64_t position, NSDictionary **said,
                       uint64_t *end) {
    // Opened anew: the descriptor of one that passes by the page cache is read by blocks alone.
    NSError *cause = nil;
    HostDescriptor *opened = [layer.file reopenedWithFlags:O_RDONLY error:&cause];
    if (opened == nil)
        return (int)cause.code;
    // What QEMU has in hand may have another length than it should.
    uint64_t length = layer.length != 0 ? layer.length : host_overlay_used(opened.number, disk_size);
    if (length == 0 || length > host_overlay_longest(disk_size))
        return EIO;
    uint64_t checksum = 0;
    int failure = qemu_copy_overlay(opened.number, (off_t)layer.position, length, file, (off_t)position, &checksum);
    *end = position + whole_pages(length);
    *said = @{@"position" : @(position), @"length" : @(length), @"checksum" : @(checksum)};
    return failure;
}

/// Writes the overlays of all disks behind the memory, and says of each where they are.
static int write_disks(NSArray<QEMUCarriedDisk *> *disks, int file, uint64_t memory_length, NSMutableArray *said,
                       uint64_t *disks_length) {
    uint64_t end = memory_length;
    int failure = 0;
    for (QEMUCarriedDisk *disk in disks) {
        NSMutableArray *layers = [NSMutableArray array];
        for (QEMUDiskLayer *layer in disk.layers) {
            NSDictionary *place = nil;
            failure = write_layer(layer, disk.size, file, end, &place, &end);
            if (failure != 0)
                return failure;
            [layers addObject:place];
        }
        [said addObject:@{@"name" : disk.name, @"layers" : layers}];
    }
    *disks_length = end - memory_length;
    return 0;
}

/// Writes what follows the memory and the disks, which are in the file already.
static int write_rest(int file, uint64_t memory_length, uint64_t memory_checksum, uint64_t disks_length,
                      QEMUStateStream *stream, uint64_t stream_length, NSData *description) {
    qemu_saved_state_trailer trailer = {
        .memory_length = memory_length,
        .disks_length = disks_length,
        .stream_length = stream_length,
        .description_length = description.length,
        .memory_checksum = memory_checksum,
        .description_checksum = qemu_saved_state_checksum(description.bytes, description.length),
        .version = QEMU_SAVED_STATE_VERSION,
    };
    memcpy(trailer.magic, qemu_saved_state_magic, sizeof trailer.magic);
    off_t position = (off_t)(memory_length + disks_length);
    int failure = qemu_saved_state_copy(stream.file.number, stream_length, file, position, &trailer.stream_checksum);
    position += (off_t)trailer.stream_length;
    if (failure == 0)
        failure = host_write_at(file, description.bytes, description.length, position);
    position += (off_t)description.length;
    trailer.trailer_checksum =
        qemu_saved_state_checksum(&trailer, offsetof(qemu_saved_state_trailer, trailer_checksum));
    return failure != 0 ? failure : host_write_at(file, (const char *)&trailer, sizeof trailer, position);
}

#pragma mark The file and its name

static NSError *writing_error(int number, NSString *path, BOOL overwriting) {
    NSString *words = number == EEXIST && overwriting ? @"it is not a regular file" : VZSystemCallErrorText(number);
    return QEMUSaveError([NSString stringWithFormat:@"%@ cannot be %@: %@.", VZQuoted(path),
                                                    overwriting ? @"replaced" : @"written", words],
                         applevz_saving_suggestion(number, overwriting), VZSystemCallError(number, path));
}

@implementation QEMUSavedStateWriter {
    NSString *_path;
    HostDescriptor *_memory;
    uint64_t _memorySize; // of the machine
    uint64_t _memoryLength, _memoryChecksum, _streamLength;
    BOOL _overwrites, _handsOver;
    VZNewFile *_file; // what becomes the saved state
}

- (instancetype)initWithPath:(NSString *)path
                      memory:(HostDescriptor *)memory
                  memorySize:(uint64_t)memorySize
                 overwriting:(BOOL)overwriting
                 handingOver:(BOOL)handingOver {
    self = [super init];
    if (self != nil) {
        _path = path;
        _memory = memory;
        _memorySize = memorySize;
        _memoryLength = memory != nil ? memorySize : 0;
        _overwrites = overwriting;
        _handsOver = handingOver && memory != nil;
    }
    return self;
}

/// What QEMU has in hand may have another length than it should.
- (BOOL)refuse:(NSString *)what length:(uint64_t)length because:(NSString *)words error:(NSError **)error {
    [self giveUp];
    return VZRefuse(error, QEMUSaveError([NSString stringWithFormat:@"QEMU left %llu bytes of %@; %@.",
                                                                    (unsigned long long)length, what, words],
                                         nil, VZSystemCallError(EIO, nil)));
}

- (BOOL)writeMemoryWithError:(NSError **)error {
    if (_memory != nil && size_of(_memory.number) != _memorySize)
        return [self refuse:@"the guest's memory"
                     length:size_of(_memory.number)
                    because:[NSString stringWithFormat:@"the machine has %llu", (unsigned long long)_memorySize]
                      error:error];
    _file = [[VZNewFile alloc] initForPath:_path];
    // Looked at first, since the rest takes its time; what is there in the end is seen to by its naming.
    int failure = [_file lookForNameToBeReplaced:_overwrites];
    _handsOver = _handsOver && [_file isInFileSystemOf:_memory];
    if (failure == 0)
        failure = _handsOver ? [self checkMemory] : [self copyMemory];
    return failure == 0 || [self failed:failure error:error];
}

- (BOOL)finishWithStream:(QEMUStateStream *)stream
                   disks:(NSArray<QEMUCarriedDisk *> *)disks
             description:(NSDictionary<NSString *, id> *)description
                   error:(NSError **)error {
    _streamLength = size_of(stream.file.number);
    uint64_t longest = qemu_saved_state_longest_stream(_memorySize, _memoryLength);
    if (_streamLength > longest)
        return [self refuse:@"the devices' state"
                     length:_streamLength
                    because:[NSString stringWithFormat:@"it has at most %llu", (unsigned long long)longest]
                      error:error];
    int failure = [self finishFileWithStream:stream disks:disks description:description];
    // One device can be mounted at two places, between which files have no names in common.
    if (failure == EXDEV && _handsOver) {
        _handsOver = NO;
        failure = [self copyMemory];
        if (failure == 0)
            failure = [self finishFileWithStream:stream disks:disks description:description];
    }
    return failure == 0 || [self failed:failure error:error];
}

- (void)giveUp {
    [_file giveUp];
}

- (BOOL)failed:(int)failure error:(NSError **)error {
    [self giveUp];
    return VZRefuse(error, writing_error(failure, _path, _overwrites));
}

// These give 0 or errno.

- (int)checkMemory {
    [_file adopt:_memory];
    // As long as it had no name it was QEMU's to open, whoever QEMU runs as.
    if (fchmod(_memory.number, 0600) != 0)
        return errno;
    return qemu_check_memory(_memory.number, (off_t)_memoryLength, QEMU_MEMORY_ALONE, &_memoryChecksum);
}

- (int)copyMemory {
    int failure = [_file create];
    if (failure != 0 || _memory == nil)
        return failure;
    return qemu_copy_memory(_memory.number, (off_t)_memoryLength, _file.file.number, false, QEMU_MEMORY_ALONE,
                            &_memoryChecksum);
}

/// EXDEV where the file cannot have a name in that folder.
- (int)finishFileWithStream:(QEMUStateStream *)stream
                      disks:(NSArray<QEMUCarriedDisk *> *)disks
                description:(NSDictionary *)fields {
    NSMutableDictionary *description = [fields mutableCopy];
    NSMutableArray *places = [NSMutableArray array];
    uint64_t disksLength = 0;
    int failure = write_disks(disks, _file.file.number, _memoryLength, places, &disksLength);
    description[@"disks"] = places;
    NSData *text = [NSJSONSerialization dataWithJSONObject:description options:0 error:NULL];
    if (failure == 0)
        failure =
            write_rest(_file.file.number, _memoryLength, _memoryChecksum, disksLength, stream, _streamLength, text);
    if (failure == 0)
        failure = _overwrites ? [_file replace] : [_file giveName];
    // Handed over in vain, it is the machine's memory again, and nothing else. Shortening a file does not fail for want
    // of room.
    if (failure != 0 && _handsOver && ftruncate(_file.file.number, (off_t)_memoryLength) != 0)
        return errno;
    if (failure == 0)
        QEMURememberWrittenFile(_file.file);
    return failure;
}

@end
