// SPDX-License-Identifier: Apache-2.0
#import "QEMUSavedState.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUMemoryCopy.h"
#import "QEMUSavedStateFormat.h"
#import "QEMUSoundFiles.h"
#import <errno.h>
#import <string.h>
#import <sys/stat.h>
#import <unistd.h>

NSError *QEMURestoreError(NSString *reason, NSString *suggestion, NSError *underlying) {
    return VZErrorWithReason(VZErrorRestore, @"The virtual machine could not be restored.", reason, suggestion, underlying);
}

enum { MAXIMUM_DESCRIPTION_LENGTH = 1 << 20 };

static NSString *const SaveAgain = @"Use another saved state, or start the machine.";

@implementation QEMUSavedState {
    NSString *_path;
    VZHostFile *_hostFile; // owns what _file is a duplicate of
    qemu_saved_state_trailer _trailer;
    NSArray<NSArray<NSString *> *> *_fields;
}

- (instancetype)initWithPath:(NSString *)path error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _path = path;
    NSString *reason = nil;
    NSString *suggestion = SaveAgain;
    NSError *cause = nil;
    int number = 0;
    // For writing too, which nobody does: QEMU opens the file that it maps so.
    VZHostFile *file = [[VZHostFile alloc] initWithPath:path
                                               writable:YES
                                           blockDevices:NO
                                                 reason:&reason
                                            errorNumber:&number];
    if (file == nil) {
        cause = number != 0 ? VZSystemCallError(number, path) : nil;
        suggestion = @"Name a file that saving made, and that this user may read and write.";
    } else {
        _hostFile = file;
        _file = [QEMUDescriptor duplicateOf:file.fileDescriptor error:&cause];
        reason = _file == nil ? @"cannot be opened: too many files are open" : [self wrongWithSize:file.size];
    }
    if (reason == nil)
        return self;
    VZRefuse(error, QEMURestoreError([NSString stringWithFormat:@"The saved state %@%@.",
                                                                [reason hasPrefix:@"is \""] ? @""
                                                                                            : [VZQuoted(path)
                                                                                                  stringByAppendingString:@" "],
                                                                reason], suggestion, cause));
    return nil;
}

/// What is wrong with the file; nil if nothing is.
- (NSString *)wrongWithSize:(uint64_t)size {
    if (size < sizeof _trailer)
        return [NSString stringWithFormat:@"is truncated, or not a saved state: it has %llu bytes",
                                          (unsigned long long)size];
    if (pread(_file.number, &_trailer, sizeof _trailer, (off_t)(size - sizeof _trailer)) != (ssize_t)sizeof _trailer)
        return @"cannot be read";
    if (memcmp(_trailer.magic, qemu_saved_state_magic, sizeof _trailer.magic) != 0)
        return @"is truncated, or not a saved state: its end is not that of one";
    if (_trailer.version != QEMU_SAVED_STATE_VERSION)
        return [NSString stringWithFormat:@"is of format version %llu; this library reads version %d",
                                          (unsigned long long)_trailer.version, QEMU_SAVED_STATE_VERSION];
    if (_trailer.trailer_checksum !=
        qemu_saved_state_checksum(&_trailer, offsetof(qemu_saved_state_trailer, trailer_checksum)))
        return @"is damaged: the checksum of its trailer is not right";
    // With the trailer's checksum right, the sum cannot be made to overflow by damage.
    uint64_t whole = _trailer.memory_length + _trailer.stream_length + _trailer.description_length + sizeof _trailer;
    if (whole != size)
        return [NSString stringWithFormat:@"is damaged: it has %llu bytes where it had %llu", (unsigned long long)size,
                                          (unsigned long long)whole];
    return [self wrongWithContents];
}

- (NSString *)wrongWithContents {
    uint64_t stream_checksum = 0;
    off_t position = (off_t)_trailer.memory_length;
    int failure = qemu_saved_state_file_checksum(_file.number, position, _trailer.stream_length, &stream_checksum);
    if (_trailer.description_length > MAXIMUM_DESCRIPTION_LENGTH)
        return @"is damaged: its description is too long for one";
    NSMutableData *description = [NSMutableData dataWithLength:(NSUInteger)_trailer.description_length];
    position += (off_t)_trailer.stream_length;
    if (failure == 0)
        failure = qemu_read_at(_file.number, description.mutableBytes, description.length, position);
    if (failure != 0)
        return [NSString stringWithFormat:@"cannot be read: %@", VZSystemCallErrorText(failure)];
    if (_trailer.description_checksum != qemu_saved_state_checksum(description.bytes, description.length))
        return @"is damaged: the checksum of its description is not right";
    if (_trailer.stream_checksum != stream_checksum)
        return @"is damaged: the checksum of its devices' state is not right";
    return [self takeDescription:description] ? nil : @"is damaged: its description has not the form of one";
}

static BOOL is_field(id object) {
    return [object isKindOfClass:[NSArray class]] && [object count] == 2 && [object[0] isKindOfClass:[NSString class]] &&
           [object[1] isKindOfClass:[NSString class]];
}

- (BOOL)takeDescription:(NSData *)data {
    NSDictionary *description = nil;
    @try {
        description = [NSJSONSerialization JSONObjectWithData:data options:0 error:NULL];
    } @catch (NSException *exception) {
        return NO;
    }
    if (![description isKindOfClass:[NSDictionary class]] || ![description[@"qemu"] isKindOfClass:[NSString class]] ||
        ![description[@"fields"] isKindOfClass:[NSArray class]])
        return NO;
    _version = description[@"qemu"];
    _fields = description[@"fields"];
    for (id field in _fields)
        if (!is_field(field))
            return NO;
    return YES;
}

static off_t data_length(QEMUDescriptor *file) {
    struct stat status;
    return fstat(file.number, &status) == 0 ? (off_t)status.st_blocks * 512 : 0;
}

- (void)setFormerMemory:(QEMUDescriptor *)memory {
    BOOL pays = memory != nil && self.hasMemory && data_length(memory) <= data_length(_file) / 2 * 3;
    _formerMemory = pays ? memory : nil;
}

- (BOOL)hasMemory {
    return _trailer.memory_length > 0;
}

- (BOOL)takeMemoryTo:(QEMUDescriptor *)memory error:(NSError **)error {
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
        return VZRefuse(error, QEMURestoreError([NSString stringWithFormat:@"The saved state %@ is damaged: the checksum "
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

- (NSError *)errorOfFields:(NSArray<NSArray<NSString *> *> *)fields exempt:(NSArray<NSString *> *)exempt {
    for (NSUInteger i = 0; i < MAX(fields.count, _fields.count); i++) {
        NSArray<NSString *> *ours = i < fields.count ? fields[i] : nil;
        NSArray<NSString *> *saved = i < _fields.count ? _fields[i] : nil;
        if ([ours isEqual:saved] || ([ours[0] isEqual:saved[0]] && [exempt containsObject:ours[0]]))
            continue;
        NSString *was = saved == nil                     ? @"without it"
                        : [saved[0] isEqual:ours[0]] ? [@"with " stringByAppendingString:saved[1]]
                                                     : [NSString stringWithFormat:@"with %@ %@", saved[0], saved[1]];
        return QEMURestoreError(
            [NSString stringWithFormat:@"%@ %@; the saved state %@ was made %@.", (ours ?: saved)[0],
                                       ours != nil ? [@"is " stringByAppendingString:ours[1]] : @"is not there",
                                       VZQuoted(_path), was],
            [(ours ?: saved)[0] hasSuffix:@".MACAddress"]
                ? @"Give it that address. A machine that was saved with a generation identifier can have another."
                : @"Restore it in a machine with the configuration that it was saved with.",
            nil);
    }
    return nil;
}

- (QEMUDescriptor *)streamWithError:(NSError **)error {
    QEMUDescriptor *stream = [_file reopenedWithError:error];
    if (stream != nil)
        lseek(stream.number, (off_t)_trailer.memory_length, SEEK_SET);
    return stream;
}

@end
