// SPDX-License-Identifier: Apache-2.0
#import "QEMUBlockNode.h"
#import "configuration/VZConfiguration+Private.h"
#import "configuration/storage/VZDiskOverlays+Private.h"
#import "host/HostOverlayImage.h"
#import "support/VZNewFile+Private.h"
#import "QEMU/program/QEMUVariableStore.h"
#import "QEMU/saved_states/QEMUSavedState.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "support/VZNetworkBlockDeviceURL+Private.h"
#import <errno.h>
#import <fcntl.h>
#import <sys/un.h>

// The guest's start waits for servers, and is itself given up at some time.
enum { LONGEST_OPEN_SECONDS = 30 };

// "/proc/self/fd/1234567/".
enum { LONGEST_DESCRIPTOR_PATH = 22 };

enum { sector_size = 512 };

static NSString *const throttle_group = @"disk-limits";

@implementation QEMUDiskServer

- (instancetype)initWithPort:(NSUInteger)port {
    self = [super init];
    if (self != nil)
        _port = port;
    return self;
}

- (instancetype)initWithPath:(NSString *)path folder:(HostDescriptor *)folder name:(NSString *)name {
    self = [super init];
    if (self != nil) {
        _path = path;
        _folder = folder;
        _name = name;
    }
    return self;
}

@end

@implementation QEMUBlockNode {
    NSDictionary *_options; // with the number of a descriptor for each path of a file
    // Of a disk of images.
    NSString *_property;
    VZDiskImageStorageDeviceAttachment *_attachment;
    NSDictionary *_cache;
    uint64_t _size;          // of the disk
    host_overlay_base _base; // what the overlays of the machine's own lie on
    NSArray<QEMUDiskLayer *> *_layers;
    NSString *_socketName; // in the folder that is the descriptor
    BOOL _isReadOnly;      // for the guest, though the descriptor could be written to
    AppleVZResourceLimits _limits;
}

+ (instancetype)nodeOf:(VZStorageDeviceAttachment *)attachment
                    as:(NSString *)property
            savedState:(QEMUSavedState *)state
                limits:(AppleVZResourceLimits)limits
                 error:(NSError **)error {
    QEMUBlockNode *node = [[self alloc] init];
    node->_limits = limits;
    node->_descriptors = @[];
    BOOL usable;
    if ([attachment isKindOfClass:[VZDiskImageStorageDeviceAttachment class]])
        usable = [node takeImage:(VZDiskImageStorageDeviceAttachment *)attachment
                              as:property
                      savedState:state
                           error:error];
    else if ([attachment isKindOfClass:[VZDiskBlockDeviceStorageDeviceAttachment class]])
        usable = [node takeBlockDevice:(VZDiskBlockDeviceStorageDeviceAttachment *)attachment as:property error:error];
    else
        usable = [node takeServer:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment];
    return usable ? node : nil;
}

static NSDictionary *cache_options(BOOL direct, BOOL flushes) {
    return @{@"direct" : [NSNumber numberWithBool:direct], @"no-flush" : [NSNumber numberWithBool:!flushes]};
}

#pragma mark Images

- (BOOL)takeImage:(VZDiskImageStorageDeviceAttachment *)attachment
               as:(NSString *)property
       savedState:(QEMUSavedState *)state
            error:(NSError **)error {
    VZOpenedImage *image = [attachment openAs:[property stringByAppendingString:@".URL"] error:error];
    if (image == nil)
        return NO;
    _canBeReopened = YES;
    _property = property;
    _attachment = attachment;
    _layers = @[];
    BOOL flushes = attachment.synchronizationMode != VZDiskImageSynchronizationModeNone;
    _cache = cache_options(attachment.cachingMode == VZDiskImageCachingModeUncached, flushes);
    _size = image.size;
    if (!attachment.isCarried)
        return [self addImage:image readOnly:attachment.isReadOnly error:error];
    VZOpenedImage *lowest = attachment.isEphemeral ? image : image.base;
    _base = lowest.asBase;
    BOOL usable;
    if (state != nil)
        usable = [self addImage:lowest readOnly:YES error:error] && [self addLayersOf:state
                                                                                image:image.file
                                                                                error:error];
    else if (attachment.isEphemeral)
        usable = [self addImage:image readOnly:YES error:error] && [self addNewLayerWithError:error];
    else
        usable = [self addImage:image readOnly:NO error:error];
    if (usable)
        _carriedDisk = [[QEMUCarriedDisk alloc] initWithName:property layers:_layers size:_size];
    return usable;
}

/// A node for the file, of which the path is still to come.
- (NSDictionary *)fileNode:(HostDescriptor *)descriptor
                  isDevice:(BOOL)isDevice
                  readOnly:(BOOL)readOnly
                     cache:(NSDictionary *)cache {
    _descriptors = [_descriptors arrayByAddingObject:descriptor];
    return @{
        @"driver" : isDevice ? @"host_device" : @"file",
        @"filename" : @(_descriptors.count - 1),
        @"read-only" : [NSNumber numberWithBool:readOnly],
        @"discard" : @"unmap",
        @"cache" : cache,
    };
}

/// An overlay in that file, over what there is so far. Its base is told here: what its header says is never opened.
- (void)addOverlay:(NSDictionary *)file readOnly:(BOOL)readOnly cache:(NSDictionary *)cache {
    _options = @{
        @"driver" : @"qcow2",
        @"file" : file,
        @"backing" : _options,
        @"read-only" : [NSNumber numberWithBool:readOnly],
        @"discard" : @"unmap",
        @"cache" : cache,
    };
}

/// With what lies below it, which is opened first.
- (BOOL)addImage:(VZOpenedImage *)image readOnly:(BOOL)readOnly error:(NSError **)error {
    if (image.base != nil && ![self addImage:image.base readOnly:YES error:error])
        return NO;
    NSError *cause = nil;
    HostDescriptor *descriptor = [HostDescriptor duplicateOf:image.file.fileDescriptor error:&cause];
    if (descriptor == nil)
        return [self refuse:[_property stringByAppendingString:@".URL"] cause:cause error:error];
    NSDictionary *file = [self fileNode:descriptor isDevice:image.file.isBlockDevice readOnly:readOnly cache:_cache];
    if (image.base == nil) {
        _options = file;
        return YES;
    }
    if (!readOnly && !(file = [self limitedNode:file of:descriptor error:error]))
        return NO;
    [self addOverlay:file readOnly:readOnly cache:_cache];
    if (!readOnly)
        [self addLayer:[[QEMUDiskLayer alloc] initWithFile:descriptor]];
    return YES;
}

/// The node of an overlay's file, which does not grow beyond its room: QEMU's "raw" of a size refuses that with ENOSPC,
/// which a guest is told as an error of its disk. Where there is no limit, as it was.
- (NSDictionary *)limitedNode:(NSDictionary *)node of:(HostDescriptor *)file error:(NSError **)error {
    uint64_t room = host_overlay_room(_limits.overlaySize, _size);
    if (room == 0)
        return node;
    int failure = host_overlay_limit(file.number, room);
    if (failure == EFBIG) {
        VZRefuse(
            error,
            VZInvalidDiskImageError(
                [NSString stringWithFormat:@"%@ is %@, and what was written to it takes more already than the %llu "
                                           @"bytes of resourceLimits.overlaySize.",
                                           _property, _attachment.shownData, (unsigned long long)_limits.overlaySize],
                @"Allow more, or none that is limited.", nil));
        return nil;
    }
    if (failure != 0) {
        [self refuse:_property cause:VZSystemCallError(failure, nil) error:error];
        return nil;
    }
    return @{
        @"driver" : @"raw",
        @"size" : @(room),
        @"file" : node,
        @"discard" : @"unmap",
        @"cache" : node[@"cache"],
    };
}

- (void)addLayer:(QEMUDiskLayer *)layer {
    _layers = [@[ layer ] arrayByAddingObjectsFromArray:_layers];
}

- (HostDescriptor *)newFileWithError:(NSError **)error {
    HostDescriptor *file = [_attachment newOverlayFileAs:[_property stringByAppendingString:@".overlayDirectory"]
                                                   error:error];
    // Passing by the cache takes writes of a disk's blocks. The descriptor is not QEMU's, which opens its own.
    if (file != nil)
        fcntl(file.number, F_SETFL, 0);
    return file;
}

/// What the guest writes goes there. It is nobody's once the machine is gone, so no flush has to reach the disk.
- (BOOL)addNewLayerWithError:(NSError **)error {
    HostDescriptor *file = [self newFileWithError:error];
    int failure = file != nil ? host_overlay_write(file.number, _size, &_base) : 0;
    if (failure != 0)
        return [self refuse:[_property stringByAppendingString:@".overlayDirectory"]
                      cause:VZSystemCallError(failure, nil)
                      error:error];
    return file != nil && [self addPassingFile:file error:error];
}

/// What the guest writes goes to that file.
- (BOOL)addOwnFile:(HostDescriptor *)file cache:(NSDictionary *)cache error:(NSError **)error {
    NSDictionary *node = [self fileNode:file isDevice:NO readOnly:NO cache:cache];
    node = [self limitedNode:node of:file error:error];
    if (node == nil)
        return NO;
    [self addOverlay:node readOnly:NO cache:cache];
    [self addLayer:[[QEMUDiskLayer alloc] initWithFile:file]];
    return YES;
}

/// What the guest writes goes to that file, which is gone with the machine: nothing of it has to reach the disk.
- (BOOL)addPassingFile:(HostDescriptor *)file error:(NSError **)error {
    return [self addOwnFile:file cache:cache_options([_cache[@"direct"] boolValue], NO) error:error];
}

#pragma mark What a saved state holds

- (BOOL)addLayersOf:(QEMUSavedState *)state image:(VZHostFile *)image error:(NSError **)error {
    NSArray<QEMUDiskLayer *> *saved = [state layersOfDisk:_property];
    if (saved == nil)
        return [self refuse:@"which the saved state does not hold" suggestion:nil error:error];
    if (state.isMapped) {
        for (QEMUDiskLayer *layer in saved.reverseObjectEnumerator)
            if (![state takeLayer:layer to:nil error:error] || ![self checkLayer:layer error:error] ||
                ![self addMappedLayer:layer error:error])
                return NO;
        return [self addNewLayerWithError:error];
    }
    if (!_attachment.isEphemeral)
        return [self replaceImage:image withLayers:saved of:state error:error];
    for (QEMUDiskLayer *layer in saved.reverseObjectEnumerator) {
        HostDescriptor *file = [self newFileWithError:error];
        QEMUDiskLayer *copy = file != nil ? [self copyOf:layer from:state to:file error:error] : nil;
        if (copy == nil)
            return NO;
        BOOL isAdded = layer == saved.firstObject ? [self addPassingFile:file error:error]
                                                  : [self addMappedLayer:copy error:error];
        if (!isAdded)
            return NO;
    }
    return YES;
}

- (BOOL)refuse:(NSString *)which suggestion:(NSString *)suggestion error:(NSError **)error {
    return VZRefuse(
        error, QEMURestoreError([NSString stringWithFormat:@"%@ is %@, %@.", _property, _attachment.shownData, which],
                                suggestion ?: @"Use another saved state, or start the machine.", nil));
}

/// A guest may have written it, by a QEMU that it had taken over.
- (BOOL)checkLayer:(QEMUDiskLayer *)layer error:(NSError **)error {
    host_overlay_base said;
    uint64_t size = 0;
    const char *wrong = host_overlay_read(layer.file.number, (off_t)layer.position, layer.length, &size, &said);
    if (wrong != NULL)
        return [self refuse:[NSString stringWithFormat:@"of which the saved state holds something that %s", wrong]
                 suggestion:nil
                      error:error];
    NSString *suggestion = nil;
    NSString *other = VZWrongWithBase(said, _base, &suggestion);
    if (other == nil && size != _size) {
        other = [NSString stringWithFormat:@"holds a disk of %llu bytes; this one has %llu", (unsigned long long)size,
                                           (unsigned long long)_size];
        suggestion = @"Restore it with a disk of the size that it was saved with: create_disk_image with that size.";
    }
    return other == nil || [self refuse:[NSString stringWithFormat:@"of which the saved state %@", other]
                               suggestion:suggestion
                                    error:error];
}

/// One that stays as it is.
- (BOOL)addMappedLayer:(QEMUDiskLayer *)layer error:(NSError **)error {
    NSError *cause = nil;
    HostDescriptor *file = [layer.file reopenedWithFlags:O_RDONLY error:&cause];
    if (file == nil)
        return [self refuse:_property cause:cause error:error];
    NSDictionary *cache = cache_options(NO, NO);
    NSDictionary *part = @{
        @"driver" : @"raw",
        @"offset" : @(layer.position),
        @"size" : @((layer.length + sector_size - 1) / sector_size * sector_size),
        @"read-only" : @YES,
        @"file" : [self fileNode:file isDevice:NO readOnly:YES cache:cache],
    };
    [self addOverlay:part readOnly:YES cache:cache];
    [self addLayer:layer];
    return YES;
}

- (QEMUDiskLayer *)copyOf:(QEMUDiskLayer *)layer
                     from:(QEMUSavedState *)state
                       to:(HostDescriptor *)file
                    error:(NSError **)error {
    QEMUDiskLayer *copy = [[QEMUDiskLayer alloc] initWithFile:file
                                                     position:0
                                                       length:layer.length
                                                     checksum:layer.checksum];
    return [state takeLayer:layer to:file error:error] && [self checkLayer:copy error:error] ? copy : nil;
}

/// The image of a disk that is not gone with its machine becomes what it was, in one step and when all else is done.
- (BOOL)replaceImage:(VZHostFile *)image
          withLayers:(NSArray<QEMUDiskLayer *> *)saved
                  of:(QEMUSavedState *)state
               error:(NSError **)error {
    if (saved.count > 1)
        return [self refuse:@"of which the saved state holds several overlays, since its machine was restored privately"
                 suggestion:@"Restore it privately, too."
                      error:error];
    if (QEMUFileIsLocked(image.fileDescriptor))
        return [self refuse:@"which another process uses, such as the QEMU of a machine that runs"
                 suggestion:@"Stop that machine first, or restore privately."
                      error:error];
    _replacement = [[VZNewFile alloc] initForPath:_attachment.resolvedPath];
    int failure = [_replacement create];
    if (failure != 0)
        return [self refuse:[_property stringByAppendingString:@".URL"]
                      cause:VZSystemCallError(failure, nil)
                      error:error];
    HostDescriptor *file = _replacement.file;
    return [self copyOf:saved[0] from:state to:file error:error] && [self addOwnFile:file cache:_cache error:error];
}

#pragma mark Other disks

- (BOOL)refuse:(NSString *)property cause:(NSError *)cause error:(NSError **)error {
    return VZRefuse(error, VZErrorWithReason(
                               VZErrorInternal, @"The disk could not be opened.",
                               [NSString stringWithFormat:@"%@: %@.", property, VZSystemCallErrorText((int)cause.code)],
                               nil, cause));
}

- (BOOL)takeBlockDevice:(VZDiskBlockDeviceStorageDeviceAttachment *)attachment
                     as:(NSString *)property
                  error:(NSError **)error {
    if ([attachment identityAs:[property stringByAppendingString:@".fileHandle"] error:error] == nil)
        return NO;
    NSError *cause = nil;
    int number = attachment.fileHandle.fileDescriptor;
    BOOL isWritable = attachment.isWritable;
    // Opened anew, it has a position and locks of its own. Who got the handle from somebody else may not be allowed to:
    // then it is used as it was opened, since QEMU has no descriptor for reading of one that is for both.
    NSString *path = [NSString stringWithFormat:@"/proc/self/fd/%d", number];
    HostDescriptor *descriptor = [HostDescriptor openPath:path flags:isWritable ? O_RDWR : O_RDONLY error:NULL];
    if (descriptor == nil) {
        descriptor = [HostDescriptor duplicateOf:number error:&cause];
        _isReadOnly = !isWritable && (fcntl(number, F_GETFL) & O_ACCMODE) == O_RDWR;
    }
    if (descriptor == nil)
        return [self refuse:[property stringByAppendingString:@".fileHandle"] cause:cause error:error];
    _options = [self fileNode:descriptor
                     isDevice:YES
                     readOnly:!isWritable && !_isReadOnly
                        cache:cache_options(NO, attachment.synchronizationMode == VZDiskSynchronizationModeFull)];
    return YES;
}

- (BOOL)takeServer:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment {
    VZNetworkBlockDeviceURL *server = attachment.server;
    uint32_t seconds = (uint32_t)attachment.timeout;
    if (seconds < attachment.timeout)
        seconds++; // QEMU has whole ones
    if (server.socketPath != nil)
        [self holdFolderOfSocket:server.socketPath];
    _options = @{
        @"driver" : @"nbd",
        @"server" : server.socketPath != nil ? @{@"type" : @"unix", @"path" : server.socketPath} : @{
            @"type" : @"inet",
            @"host" : server.host,
            @"port" : [NSString stringWithFormat:@"%lu", (unsigned long)server.port],
        },
        @"export" : server.exportName,
        @"read-only" : [NSNumber numberWithBool:attachment.isForcedReadOnly],
        // The server has the last word.
        @"auto-read-only" : @YES,
        @"reconnect-delay" : @(seconds),
        @"open-timeout" : @(MIN(seconds, (uint32_t)LONGEST_OPEN_SECONDS)),
        @"discard" : @"unmap",
        @"cache" : cache_options(NO, attachment.synchronizationMode == VZDiskSynchronizationModeFull),
    };
    return YES;
}

/// QEMU connects to it again and again, also to another one of that name: it is the folder that is held.
- (void)holdFolderOfSocket:(NSString *)path {
    NSString *name = nil;
    NSString *folder = VZFolderOfPath(path, &name);
    // In the room that a socket's path has. Where the folder is not there, QEMU says so.
    if (VZUTF8Data(name).length + LONGEST_DESCRIPTOR_PATH > sizeof((struct sockaddr_un *)NULL)->sun_path)
        return;
    HostDescriptor *held = [HostDescriptor openPath:folder flags:O_PATH | O_DIRECTORY error:NULL];
    if (held != nil)
        _descriptors = @[ held ];
    _canBeReopened = YES;
    _socketName = name;
}

- (HostDescriptor *)directOneBeside:(HostDescriptor *)descriptor {
    int flags = fcntl(descriptor.number, F_GETFL);
    if (![_cache[@"direct"] boolValue] || flags < 0 || (flags & O_DIRECT) != 0)
        return nil;
    return [descriptor reopenedWithFlags:(flags & O_ACCMODE) | O_DIRECT error:NULL];
}

- (BOOL)canBeUsed {
    return _socketName == nil;
}

- (QEMUDiskServer *)serverWithPaths:(NSArray<NSString *> *)paths {
    NSDictionary *server = _options[@"server"];
    if (server == nil)
        return nil;
    if (server[@"path"] == nil)
        return [[QEMUDiskServer alloc] initWithPort:(NSUInteger)[server[@"port"] integerValue]];
    BOOL isHeld = paths.count > 0 && _socketName != nil;
    return [[QEMUDiskServer alloc] initWithPath:isHeld ? [self pathOfSocketIn:paths[0]] : server[@"path"]
                                         folder:isHeld ? _descriptors[0] : nil
                                           name:isHeld ? _socketName : nil];
}

- (NSString *)pathOfSocketIn:(NSString *)folder {
    return [folder stringByAppendingFormat:@"/%@", _socketName];
}

/// Options with the paths in the place of their numbers.
static NSDictionary *with_paths(NSDictionary *options, NSArray<NSString *> *paths) {
    NSMutableDictionary *result = [options mutableCopy];
    for (NSString *key in options)
        if ([options[key] isKindOfClass:[NSDictionary class]])
            result[key] = with_paths(options[key], paths);
    if ([options[@"filename"] isKindOfClass:[NSNumber class]])
        result[@"filename"] = paths [[options[@"filename"] unsignedIntegerValue]];
    return result;
}

- (NSDictionary *)optionsWithName:(NSString *)name paths:(NSArray<NSString *> *)paths {
    NSMutableDictionary *options = [with_paths(_options, paths) mutableCopy];
    if (paths.count > 0 && _socketName != nil)
        options[@"server"] = @{@"type" : @"unix", @"path" : [self pathOfSocketIn:paths[0]]};
    if (_isReadOnly)
        options = [@{@"driver" : @"raw", @"read-only" : @YES, @"file" : options} mutableCopy];
    // Caching is a matter of what lies below. What is discarded goes through only if that is said. A server's disk,
    // which may turn out to be read-only, would be refused for it, and takes nothing of this host's disks.
    if (QEMUThrottleGroup(_limits) != nil && options[@"server"] == nil)
        options = [@{
            @"driver" : @"throttle",
            @"throttle-group" : throttle_group,
            @"read-only" : options[@"read-only"] ?: @NO,
            @"discard" : @"unmap",
            @"file" : options,
        } mutableCopy];
    options[@"node-name"] = name;
    return options;
}

NSDictionary *QEMUThrottleGroup(AppleVZResourceLimits limits) {
    if (limits.diskBytesPerSecond == 0 && limits.diskOperationsPerSecond == 0)
        return nil;
    return @{
        @"qom-type" : @"throttle-group",
        @"id" : throttle_group,
        @"limits" : @{@"bps-total" : @(limits.diskBytesPerSecond), @"iops-total" : @(limits.diskOperationsPerSecond)},
    };
}

@end
