// SPDX-License-Identifier: Apache-2.0
#import "QEMUSavedStateInspection.h"
#import "QEMUFingerprint.h"
#import "QEMUOverlayCopy.h"
#import "QEMUSavedState+Private.h"
#import "QEMUSavedStateFit.h"
#import "host/HostOverlayImage.h"
#import "support/VZErrors+Private.h"
#import <errno.h>
#import <stdio.h>
#import <stdlib.h>
#import <sys/stat.h>

@implementation QEMUSavedStateInspection {
    NSString *_path;
    QEMUSavedState *_state;
    NSDictionary<NSString *, NSString *> *_values; // of its fields: there may be as many as disks, and very many
    NSLock *_lock;                                 // for all that follows
    // The memory, the overlays and the stream, one after the other.
    NSArray<QEMUDiskLayer *> *_parts;
    NSUInteger _part;
    uint64_t _done, _checksum; // of that part
    BOOL _isBegun;
}

- (instancetype)initWithPath:(NSString *)path isState:(BOOL *)isState error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _state = [[QEMUSavedState alloc] initForReadingPath:path isState:isState error:error];
    if (_state == nil)
        return nil;
    _path = path;
    _lock = [[NSLock alloc] init];
    NSMutableDictionary<NSString *, NSString *> *values = [NSMutableDictionary dictionary];
    for (NSArray<NSString *> *field in _state->_fields.reverseObjectEnumerator)
        values[field[0]] = field[1]; // the first of a name, as for a machine
    _values = values;
    qemu_saved_state_trailer trailer = _state->_trailer;
    NSMutableArray<QEMUDiskLayer *> *parts = [NSMutableArray array];
    [parts addObject:[self partFrom:0 length:trailer.memory_length checksum:trailer.memory_checksum]];
    for (NSString *name in _state->_namesOfDisks)
        [parts addObjectsFromArray:_state->_disks[name]];
    [parts addObject:[self partFrom:_state.streamPosition
                             length:trailer.stream_length
                           checksum:trailer.stream_checksum]];
    _parts = parts;
    return self;
}

- (QEMUDiskLayer *)partFrom:(uint64_t)position length:(uint64_t)length checksum:(uint64_t)checksum {
    return [[QEMUDiskLayer alloc] initWithFile:_state.file position:position length:length checksum:checksum];
}

- (NSError *)applevzErrorForConfiguration:(VZVirtualMachineConfiguration *)configuration {
    return QEMUErrorOfPrivateRestore(_path, configuration);
}

#pragma mark What it says of itself

/// The number that a text is, and nothing else.
static BOOL read_number(NSString *text, uint64_t *value) {
    const char *digits = text.UTF8String;
    if (digits == NULL || digits[0] < '0' || digits[0] > '9')
        return NO;
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(digits, &end, 10);
    if (errno != 0 || *end != 0)
        return NO;
    *value = number;
    return YES;
}

static id number_or_null(BOOL is_there, uint64_t number) {
    return is_there ? @(number) : (id)[NSNull null];
}

static id time_or_null(BOOL is_there, int64_t seconds, uint64_t nanoseconds) {
    return is_there && nanoseconds < 1000000000 ? @[ @(seconds), @(nanoseconds) ] : (id)[NSNull null];
}

/// The size of the disk, and when the image was written last that the state needs: as the overlay says, or the field of
/// one of which nothing is held.
- (void)describeImageOf:(NSString *)name in:(NSMutableDictionary<NSString *, id> *)disk {
    QEMUDiskLayer *layer = _state->_disks[name].lastObject;
    host_overlay_base base = {0};
    if (layer != nil) {
        uint64_t size = 0;
        BOOL said = host_overlay_read(_state.file.number, (off_t)layer.position, layer.length, &size, &base) == NULL;
        disk[@"size"] = number_or_null(said, size);
        disk[@"image size"] = number_or_null(said, base.size);
        disk[@"written"] = time_or_null(said, base.written_seconds, base.written_nanoseconds);
        return;
    }
    // The name of the attachment's field begins with that of its device.
    NSString *device = [name hasSuffix:@".attachment"] ? [name substringToIndex:name.length - 11] : name;
    BOOL has_size = read_number(_values[[@"the size of " stringByAppendingString:device]], &base.size);
    disk[@"size"] = disk[@"image size"] = number_or_null(has_size, base.size);
    NSString *field = [QEMUTimeOfDisk stringByAppendingFormat:@" %@ was written last", device];
    const char *time = _values[field].UTF8String;
    long long seconds = 0;
    unsigned long nanoseconds = 0;
    BOOL has_time = time != NULL && sscanf(time, "%lld.%9lu s", &seconds, &nanoseconds) == 2;
    disk[@"written"] = time_or_null(has_time, seconds, nanoseconds);
}

- (NSArray *)disks {
    NSMutableArray<NSString *> *names = [_state->_namesOfDisks mutableCopy];
    for (NSString *name in _state->_images)
        if (_state->_disks[name] == nil)
            [names addObject:name];
    NSMutableArray *disks = [NSMutableArray array];
    for (NSString *name in [names sortedArrayUsingSelector:@selector(compare:)]) {
        uint64_t held = 0;
        for (QEMUDiskLayer *layer in _state->_disks[name])
            held += layer.length; // they lie one after the other, in one file
        NSMutableDictionary<NSString *, id> *disk = [NSMutableDictionary dictionary];
        disk[@"name"] = name;
        disk[@"path"] = _state->_images[name] ?: (id)[NSNull null];
        disk[@"held"] = number_or_null(_state->_disks[name] != nil, held);
        [self describeImageOf:name in:disk];
        [disks addObject:disk];
    }
    return disks;
}

- (NSDictionary<NSString *, id> *)applevzDescription {
    uint64_t memory = 0;
    BOOL has_memory = read_number(_values[QEMUFieldOfMemorySize(0)[0]], &memory);
    struct stat status = {0};
    fstat(_state.file.number, &status);
    return @{
        @"format" : @(_state->_trailer.version),
        @"identifier" : _state.identifier,
        @"parent" : _state.parent ?: (id)[NSNull null],
        @"made" : @(_state->_made),
        @"qemu" : _state.version,
        @"memory" : number_or_null(has_memory, memory),
        @"size" : @((uint64_t)status.st_size),
        @"allocated" : @((uint64_t)status.st_blocks * 512),
        @"fields" : _state->_fields,
        @"disks" : [self disks],
    };
}

#pragma mark Whether it is whole

static NSError *inspection_error(NSString *words, NSString *path, int failure) {
    NSString *reason = failure != 0 ? [NSString stringWithFormat:@"The saved state %@ cannot be read: %@.",
                                                                 VZQuoted(path), VZSystemCallErrorText(failure)]
                                    : [NSString stringWithFormat:@"The saved state %@ %@.", VZQuoted(path), words];
    return VZErrorWithReason(VZErrorRestore, @"The saved state is not whole.", reason, @"Use another saved state.",
                             failure != 0 ? VZSystemCallError(failure, path) : nil);
}

/// What needs no more than a look: lengths, and the headers of overlays. nil if nothing is wrong.
- (NSString *)wrongAtFirstSight {
    uint64_t memory = 0;
    if (!read_number(_values[QEMUFieldOfMemorySize(0)[0]], &memory))
        return @"is damaged: it does not say how much memory its machine has";
    NSString *wrong = [_state wrongWithLengthsOfMachine:memory];
    for (NSString *name in _state->_namesOfDisks) {
        host_overlay_base first = {0};
        uint64_t first_size = 0;
        for (QEMUDiskLayer *layer in _state->_disks[name]) {
            host_overlay_base base = {0};
            uint64_t size = 0;
            const char *words =
                host_overlay_read(_state.file.number, (off_t)layer.position, layer.length, &size, &base);
            if (words != NULL)
                return wrong ?: [NSString stringWithFormat:@"holds something of a disk that %s", words];
            if (layer == _state->_disks[name][0]) {
                first = base;
                first_size = size;
            }
            BOOL same = first_size == size && first.size == base.size &&
                        first.written_seconds == base.written_seconds &&
                        first.written_nanoseconds == base.written_nanoseconds && first.sample == base.sample;
            if (!same)
                return wrong ?: @"is damaged: what it holds of one disk is of several";
        }
    }
    return wrong;
}

- (NSString *)nameOfPart {
    return _part == 0                  ? @"the guest's memory"
           : _part == _parts.count - 1 ? @"its devices' state"
                                       : @"what a disk holds";
}

/// The stream has no holes. 0 or errno.
- (int)readStream:(QEMUDiskLayer *)stream atMost:(uint64_t)length {
    if (_done == 0)
        _checksum = qemu_saved_state_checksum(NULL, 0);
    uint64_t count = MIN(stream.length - _done, length);
    int failure =
        qemu_saved_state_file_checksum_on(stream.file.number, (off_t)(stream.position + _done), count, &_checksum);
    _done += count;
    return failure;
}

- (NSError *)checkNext:(uint64_t)length {
    NSString *wrong = _isBegun ? nil : [self wrongAtFirstSight];
    if (wrong != nil)
        return inspection_error(wrong, _state->_path, 0);
    _isBegun = YES;
    if (_part == _parts.count)
        return nil;
    QEMUDiskLayer *part = _parts[_part];
    // The checksum of the stream goes by words, all else by pages.
    uint64_t most = MAX(length / QEMU_SAVED_STATE_PAGE_LENGTH, 1) * QEMU_SAVED_STATE_PAGE_LENGTH;
    int failure = _part == _parts.count - 1
                      ? [self readStream:part atMost:most]
                      : qemu_check_pages(part.file.number, (off_t)part.position, part.length, &_done, most, &_checksum);
    if (failure != 0)
        return inspection_error(nil, _state->_path, failure);
    if (_done < part.length)
        return nil;
    if (_checksum != part.checksum)
        return inspection_error(
            [NSString stringWithFormat:@"is damaged: the checksum of %@ is not right", [self nameOfPart]],
            _state->_path, 0);
    _part++;
    _done = _checksum = 0;
    return nil;
}

- (BOOL)applevzCheckNext:(uint64_t)length done:(uint64_t *)done error:(NSError **)error {
    [_lock lock];
    NSError *wrong = [self checkNext:length];
    BOOL is_over = _part == _parts.count;
    *done = is_over ? _state->_hostFile.size : _parts[_part].position + _done;
    [_lock unlock];
    return wrong == nil || VZRefuse(error, wrong);
}

@end
