// SPDX-License-Identifier: Apache-2.0
#import "QEMUSavedState+Private.h"
#import "support/VZErrors+Private.h"
#import "QEMUFingerprint.h"
#import "QEMUMemoryCopy.h"
#import "QEMUOverlayCopy.h"
#import "support/HostFileTransfer.h"
#import "QEMUStateDescription.h"
#import "QEMU/program/QEMUSoundFiles.h"
#import <errno.h>
#import <fcntl.h>
#import <json_reader.h>
#import <json_values.h>
#import <shown_text.h>
#import <string.h>
#import <sys/stat.h>
#import <unistd.h>

NSError *QEMURestoreError(NSString *reason, NSString *suggestion, NSError *underlying) {
    return VZErrorWithReason(VZErrorRestore, nil, reason, suggestion, underlying);
}

enum { MAXIMUM_DESCRIPTION_LENGTH = 1 << 20 };

static NSString *const SaveAgain = @"Use another saved state, or start the machine.";

@implementation QEMUSavedState

/// What is wrong with the file, the name of which comes before; nil if nothing is.
- (NSString *)openWritable:(BOOL)writable suggestion:(NSString **)suggestion cause:(NSError **)cause {
    NSString *reason = nil;
    int number = 0;
    _hostFile = [[VZHostFile alloc] initWithPath:_path
                                        writable:writable
                                    blockDevices:NO
                                          reason:&reason
                                     errorNumber:&number];
    if (_hostFile == nil) {
        *cause = number != 0 ? VZSystemCallError(number, _path) : nil;
        *suggestion = writable ? @"Name a file that saving made, and that this user may read and write."
                               : @"Name a file that saving made, and that this user may read.";
        return reason;
    }
    _file = [HostDescriptor duplicateOf:_hostFile.fileDescriptor error:cause];
    return _file == nil ? @"cannot be opened: too many files are open" : [self wrongWithSize:_hostFile.size];
}

static NSString *reason_of(NSString *words, NSString *path) {
    return [NSString stringWithFormat:@"The saved state %@%@.",
                                      [words hasPrefix:@"is \""] ? @"" : [VZQuoted(path) stringByAppendingString:@" "],
                                      words];
}

- (instancetype)initWithPath:(NSString *)path memorySize:(uint64_t)memorySize error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _path = path;
    NSString *suggestion = SaveAgain;
    NSError *cause = nil;
    // For writing too, which nobody does: QEMU opens the file that it maps so.
    NSString *wrong = [self openWritable:YES suggestion:&suggestion cause:&cause];
    NSArray<NSString *> *field = QEMUFieldOfMemorySize(memorySize);
    if (wrong == nil && [[self valueOfField:field[0]] isEqualToString:field[1]])
        wrong = [self wrongWithLengthsOfMachine:memorySize] ?: [self wrongWithStream];
    if (wrong == nil)
        return self;
    VZRefuse(error, QEMURestoreError(reason_of(wrong, path), suggestion, cause));
    return nil;
}

- (instancetype)initForReadingPath:(NSString *)path isState:(BOOL *)isState error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _path = path;
    NSString *suggestion = @"Use another saved state.";
    NSError *cause = nil;
    NSString *wrong = [self openWritable:NO suggestion:&suggestion cause:&cause];
    *isState = !_hasNoEnd;
    if (wrong == nil)
        return self;
    if (!_hasNoEnd)
        VZRefuse(error, VZErrorWithReason(VZErrorRestore, @"The saved state could not be read.", reason_of(wrong, path),
                                          suggestion, cause));
    return nil;
}

/// What is wrong with the file; nil if nothing is. Whoever made it may have meant it: no length is used before it is
/// checked.
- (NSString *)wrongWithSize:(uint64_t)size {
    _hasNoEnd = size < sizeof _trailer;
    if (_hasNoEnd)
        return [NSString
            stringWithFormat:@"is truncated, or not a saved state: it has %llu bytes", (unsigned long long)size];
    int failure = host_read_at(_file.number, &_trailer, sizeof _trailer, (off_t)(size - sizeof _trailer));
    if (failure != 0)
        return [NSString stringWithFormat:@"cannot be read: %@", VZSystemCallErrorText(failure)];
    _hasNoEnd = memcmp(_trailer.magic, qemu_saved_state_magic, sizeof _trailer.magic) != 0;
    if (_hasNoEnd)
        return @"is truncated, or not a saved state: its end is not that of one";
    if (_trailer.version != QEMU_SAVED_STATE_VERSION)
        return [NSString stringWithFormat:@"is of format version %llu; this library reads version %d",
                                          (unsigned long long)_trailer.version, QEMU_SAVED_STATE_VERSION];
    if (_trailer.trailer_checksum !=
        qemu_saved_state_checksum(&_trailer, offsetof(qemu_saved_state_trailer, trailer_checksum)))
        return @"is damaged: the checksum of its trailer is not right";
    uint64_t whole = sizeof _trailer;
    if (__builtin_add_overflow(whole, _trailer.memory_length, &whole) ||
        __builtin_add_overflow(whole, _trailer.disks_length, &whole) ||
        __builtin_add_overflow(whole, _trailer.stream_length, &whole) ||
        __builtin_add_overflow(whole, _trailer.description_length, &whole))
        return @"is damaged: its trailer tells of more bytes than a file can have";
    if (whole != size)
        return [NSString stringWithFormat:@"is damaged: it has %llu bytes where it had %llu", (unsigned long long)size,
                                          (unsigned long long)whole];
    return [self wrongWithDescription];
}

- (NSString *)wrongWithDescription {
    if (_trailer.description_length > MAXIMUM_DESCRIPTION_LENGTH)
        return @"is damaged: its description is too long for one";
    NSMutableData *description = [NSMutableData dataWithLength:(NSUInteger)_trailer.description_length];
    int failure = host_read_at(_file.number, description.mutableBytes, description.length,
                               (off_t)(self.streamPosition + _trailer.stream_length));
    if (failure != 0)
        return [NSString stringWithFormat:@"cannot be read: %@", VZSystemCallErrorText(failure)];
    if (_trailer.description_checksum != qemu_saved_state_checksum(description.bytes, description.length))
        return @"is damaged: the checksum of its description is not right";
    return [self takeDescription:description] ? nil : @"is damaged: its description has not the form of one";
}

- (NSString *)wrongWithLengthsOfMachine:(uint64_t)memorySize {
    if (_trailer.memory_length != 0 && _trailer.memory_length != memorySize)
        return [NSString stringWithFormat:@"is damaged: it holds %llu bytes of memory, where its machine has %llu",
                                          (unsigned long long)_trailer.memory_length, (unsigned long long)memorySize];
    if (_trailer.stream_length > qemu_saved_state_longest_stream(memorySize, _trailer.memory_length))
        return [NSString
            stringWithFormat:@"is damaged: it holds %llu bytes for its devices' state, which is too long for one",
                             (unsigned long long)_trailer.stream_length];
    return nil;
}

- (NSString *)wrongWithStream {
    uint64_t checksum = 0;
    int failure =
        qemu_saved_state_file_checksum(_file.number, (off_t)self.streamPosition, _trailer.stream_length, &checksum);
    if (failure != 0)
        return [NSString stringWithFormat:@"cannot be read: %@", VZSystemCallErrorText(failure)];
    return _trailer.stream_checksum == checksum ? nil : @"is damaged: the checksum of its devices' state is not right";
}

static BOOL is_field(id object) {
    return [object isKindOfClass:[NSArray class]] && [object count] == 2 &&
           [object[0] isKindOfClass:[NSString class]] && [object[1] isKindOfClass:[NSString class]];
}

- (BOOL)takeDescription:(NSData *)data {
    NSDictionary *description = applevz_json_read_object(data.bytes, data.length, MAXIMUM_DESCRIPTION_LENGTH, NULL);
    _version = applevz_json_text(description, @"qemu");
    _fields = applevz_json_array(description, @"fields");
    if (_version == nil || _fields == nil)
        return NO;
    for (id field in _fields)
        if (!is_field(field))
            return NO;
    return [self takeOrigin:description] && [self takeImages:applevz_json_array(description, @"images")] &&
           [self takeDisks:applevz_json_array(description, @"disks")];
}

- (BOOL)takeOrigin:(NSDictionary *)description {
    _identifier = applevz_json_text(description, @"identifier");
    _parent = applevz_json_text(description, @"parent");
    return QEMUIsStateIdentifier(_identifier) && (description[@"parent"] == nil || QEMUIsStateIdentifier(_parent)) &&
           applevz_json_integer(description, @"made", 0, QEMU_LATEST_TIME_OF_STATE, &_made);
}

- (BOOL)takeImages:(NSArray *)images {
    NSMutableDictionary<NSString *, NSString *> *found = [NSMutableDictionary dictionary];
    for (id image in images) {
        NSString *name = applevz_json_text(image, @"name");
        NSString *path = applevz_json_text(image, @"path");
        if (name == nil || path == nil || found[name] != nil)
            return NO;
        found[name] = path;
    }
    _images = found;
    return images != nil;
}

/// The overlays lie one after the other.
- (BOOL)takeDisks:(NSArray *)disks {
    NSMutableDictionary<NSString *, NSArray<QEMUDiskLayer *> *> *found = [NSMutableDictionary dictionary];
    NSMutableArray<NSString *> *names = [NSMutableArray array];
    uint64_t end = _trailer.memory_length;
    for (id disk in disks) {
        NSString *name = applevz_json_text(disk, @"name");
        NSMutableArray<QEMUDiskLayer *> *layers = [NSMutableArray array];
        for (id said in applevz_json_array(disk, @"layers")) {
            QEMUDiskLayer *layer = [self layerOf:said from:end];
            if (layer == nil)
                return NO;
            [layers addObject:layer];
            end = layer.position + layer.length;
        }
        if (name == nil || found[name] != nil || layers.count == 0 || layers.count > QEMU_MAXIMUM_LAYER_COUNT)
            return NO;
        found[name] = layers;
        [names addObject:name];
    }
    _disks = found;
    _namesOfDisks = names;
    return disks != nil;
}

/// nil for one that is not in the part of the file that is the disks', from there on, at a page.
- (QEMUDiskLayer *)layerOf:(id)said from:(uint64_t)start {
    uint64_t position = 0, length = 0, checksum = 0;
    if (!applevz_json_unsigned(said, @"position", &position) || !applevz_json_unsigned(said, @"length", &length) ||
        !applevz_json_unsigned(said, @"checksum", &checksum))
        return nil;
    uint64_t end = _trailer.memory_length + _trailer.disks_length;
    if (position < start || position > end || length == 0 || length > end - position ||
        position % QEMU_SAVED_STATE_PAGE_LENGTH != 0 || end % QEMU_SAVED_STATE_PAGE_LENGTH != 0)
        return nil;
    return [[QEMUDiskLayer alloc] initWithFile:_file position:position length:length checksum:checksum];
}

- (NSArray<QEMUDiskLayer *> *)layersOfDisk:(NSString *)name {
    return _disks[name];
}

- (BOOL)takeLayer:(QEMUDiskLayer *)layer to:(HostDescriptor *)file error:(NSError **)error {
    NSString *identity = QEMUIdentityOfFile(_file);
    BOOL sound = QEMUFileIsSound(identity);
    if (file == nil && sound)
        return YES;
    uint64_t checksum = layer.checksum;
    int failure = qemu_copy_overlay(_file.number, (off_t)layer.position, layer.length, file != nil ? file.number : -1,
                                    0, sound ? NULL : &checksum);
    if (failure == 0 && file != nil && ftruncate(file.number, (off_t)layer.length) != 0)
        failure = errno;
    if (failure != 0)
        return VZRefuse(error, QEMURestoreError([NSString stringWithFormat:@"The disk cannot be %@: %@.",
                                                                           file != nil ? @"copied" : @"read",
                                                                           VZSystemCallErrorText(failure)],
                                                nil, VZSystemCallError(failure, nil)));
    if (checksum == layer.checksum && identity != nil && [identity isEqualToString:QEMUIdentityOfFile(_file)])
        return YES;
    return VZRefuse(error,
                    QEMURestoreError([NSString stringWithFormat:@"The saved state %@ is damaged: the checksum of "
                                                                @"what a disk holds is not right.",
                                                                VZQuoted(_path)],
                                     SaveAgain, nil));
}

static off_t data_length(HostDescriptor *file) {
    struct stat status;
    return fstat(file.number, &status) == 0 ? (off_t)status.st_blocks * 512 : 0;
}

- (void)setFormerMemory:(HostDescriptor *)memory {
    BOOL pays = memory != nil && self.hasMemory && data_length(memory) <= data_length(_file) / 2 * 3;
    _formerMemory = pays ? memory : nil;
}

- (BOOL)hasMemory {
    return _trailer.memory_length > 0;
}

- (BOOL)takeMemoryTo:(HostDescriptor *)memory error:(NSError **)error {
    NSString *identity = QEMUIdentityOfFile(_file);
    BOOL sound = QEMUFileIsSound(identity);
    if (memory == nil && sound)
        return YES;
    off_t length = (off_t)_trailer.memory_length;
    uint64_t checksum = _trailer.memory_checksum;
    int failure = memory != nil ? qemu_copy_memory(_file.number, length, memory.number, memory == _formerMemory,
                                                   QEMU_MEMORY_BESIDE_A_START, sound ? NULL : &checksum)
                                : qemu_check_memory(_file.number, length, QEMU_MEMORY_BESIDE_A_START, &checksum);
    if (failure != 0)
        return VZRefuse(error, QEMURestoreError([NSString stringWithFormat:@"The memory cannot be %@: %@.",
                                                                           memory != nil ? @"copied" : @"read",
                                                                           VZSystemCallErrorText(failure)],
                                                nil, VZSystemCallError(failure, nil)));
    // Changed while it was read, it is not what was read, or what was known to be sound.
    BOOL changed = identity == nil || ![identity isEqualToString:QEMUIdentityOfFile(_file)];
    if (checksum != _trailer.memory_checksum || (sound && changed))
        return VZRefuse(error,
                        QEMURestoreError([NSString stringWithFormat:@"The saved state %@ is damaged: the checksum "
                                                                    @"of the guest's memory is not right.",
                                                                    VZQuoted(_path)],
                                         SaveAgain, nil));
    if (!changed)
        QEMURememberSoundFile(identity);
    return YES;
}

- (NSString *)valueOfField:(NSString *)name {
    for (NSArray<NSString *> *field in _fields)
        if ([field[0] isEqualToString:name])
            return field[1];
    return nil;
}

/// What the file says, whoever wrote it.
static NSString *shown_field(NSString *text) {
    return applevz_shown_text(text, 400, NO);
}

static NSString *suggestion_for(NSString *field) {
    if ([field hasSuffix:@".MACAddress"])
        return @"Give it that address. A machine that was saved with a generation identifier can have another.";
    if ([field hasPrefix:QEMUTimeOfDisk] || [field hasPrefix:QEMUSampleOfDisk])
        return @"Put the disk back as it was, or a copy of it that has its time (cp --preserve=timestamps), at any "
               @"path. Of a disk that is ephemeral, or has a base, a saved state holds what was "
               @"written: such a one may be written since.";
    return @"Restore it in a machine with the configuration that it was saved with.";
}

- (NSError *)errorOfFields:(NSArray<NSArray<NSString *> *> *)fields exempt:(NSArray<NSString *> *)exempt {
    for (NSUInteger i = 0; i < MAX(fields.count, _fields.count); i++) {
        NSArray<NSString *> *ours = i < fields.count ? fields[i] : nil;
        NSArray<NSString *> *saved = i < _fields.count ? _fields[i] : nil;
        if ([ours isEqual:saved] || ([ours[0] isEqual:saved[0]] && [exempt containsObject:ours[0]]))
            continue;
        NSString *was = saved == nil ? @"without it"
                        : [saved[0] isEqual:ours[0]]
                            ? [@"with " stringByAppendingString:shown_field(saved[1])]
                            : [NSString stringWithFormat:@"with %@ %@", shown_field(saved[0]), shown_field(saved[1])];
        return QEMURestoreError(
            [NSString stringWithFormat:@"%@ %@; the saved state %@ was made %@.",
                                       ours != nil ? ours[0] : shown_field(saved[0]),
                                       ours != nil ? [@"is " stringByAppendingString:ours[1]] : @"is not there",
                                       VZQuoted(_path), was],
            suggestion_for((ours ?: saved)[0]), nil);
    }
    return nil;
}

- (HostDescriptor *)streamWithError:(NSError **)error {
    HostDescriptor *stream = [_file reopenedWithFlags:O_RDONLY error:error];
    if (stream != nil)
        lseek(stream.number, (off_t)self.streamPosition, SEEK_SET);
    return stream;
}

- (uint64_t)streamPosition {
    return _trailer.memory_length + _trailer.disks_length;
}

@end
