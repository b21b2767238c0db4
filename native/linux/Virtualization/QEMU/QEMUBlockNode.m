// SPDX-License-Identifier: Apache-2.0
#import "QEMUBlockNode.h"
#import "../VZConfiguration+Private.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "../VZNetworkBlockDeviceURL+Private.h"
#import <fcntl.h>

// The guest's start waits for servers, and is itself given up at some time.
enum { LONGEST_OPEN_SECONDS = 30 };

@implementation QEMUBlockNode {
    NSDictionary *_options;
    BOOL _isReadOnly; // for the guest, though the descriptor could be written to
}

+ (instancetype)nodeOf:(VZStorageDeviceAttachment *)attachment as:(NSString *)property error:(NSError **)error {
    QEMUBlockNode *node = [[self alloc] init];
    BOOL usable;
    if ([attachment isKindOfClass:[VZDiskImageStorageDeviceAttachment class]])
        usable = [node takeImage:(VZDiskImageStorageDeviceAttachment *)attachment as:property error:error];
    else if ([attachment isKindOfClass:[VZDiskBlockDeviceStorageDeviceAttachment class]])
        usable = [node takeBlockDevice:(VZDiskBlockDeviceStorageDeviceAttachment *)attachment as:property error:error];
    else
        usable = [node takeServer:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment];
    return usable ? node : nil;
}

static NSDictionary *cache_options(BOOL direct, BOOL flushes) {
    return @{@"direct" : [NSNumber numberWithBool:direct], @"no-flush" : [NSNumber numberWithBool:!flushes]};
}

- (BOOL)takeImage:(VZDiskImageStorageDeviceAttachment *)attachment as:(NSString *)property error:(NSError **)error {
    VZHostFile *image = [attachment openAs:property error:error];
    NSString *path = attachment.resolvedPath;
    if (image == nil || path == nil)
        return NO;
    _options = @{
        @"driver" : image.isBlockDevice ? @"host_device" : @"file",
        @"filename" : path,
        @"read-only" : [NSNumber numberWithBool:attachment.readOnly],
        @"discard" : @"unmap",
        @"cache" : cache_options(attachment.cachingMode == VZDiskImageCachingModeUncached,
                                 attachment.synchronizationMode != VZDiskImageSynchronizationModeNone),
    };
    return YES;
}

- (BOOL)takeBlockDevice:(VZDiskBlockDeviceStorageDeviceAttachment *)attachment
                     as:(NSString *)property
                  error:(NSError **)error {
    if ([attachment identityAs:[property stringByAppendingString:@".fileHandle"] error:error] == nil)
        return NO;
    NSError *cause = nil;
    int number = attachment.fileHandle.fileDescriptor;
    BOOL isWritable = attachment.isWritable;
    // Opened anew, it has a position and locks of its own. Who got the handle from somebody else may not be allowed to: then it
    // is used as it was opened, since QEMU has no descriptor for reading of one that is for both.
    NSString *path = [NSString stringWithFormat:@"/proc/self/fd/%d", number];
    _descriptor = [QEMUDescriptor openPath:path flags:isWritable ? O_RDWR : O_RDONLY error:NULL];
    if (_descriptor == nil) {
        _descriptor = [QEMUDescriptor duplicateOf:number error:&cause];
        _isReadOnly = !isWritable && (fcntl(number, F_GETFL) & O_ACCMODE) == O_RDWR;
    }
    if (_descriptor == nil)
        return VZRefuse(error, VZErrorWithReason(VZErrorInternal, @"The disk could not be opened.",
                                                 [NSString stringWithFormat:@"%@.fileHandle: %@.", property,
                                                                            VZSystemCallErrorText((int)cause.code)],
                                                 nil, cause));
    _options = @{
        @"driver" : @"host_device",
        @"read-only" : [NSNumber numberWithBool:!isWritable && !_isReadOnly],
        @"discard" : @"unmap",
        @"cache" : cache_options(NO, attachment.synchronizationMode == VZDiskSynchronizationModeFull),
    };
    return YES;
}

- (BOOL)takeServer:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment {
    VZNetworkBlockDeviceURL *server = attachment.server;
    uint32_t seconds = (uint32_t)attachment.timeout;
    if (seconds < attachment.timeout)
        seconds++; // QEMU has whole ones
    _networkAttachment = attachment;
    _options = @{
        @"driver" : @"nbd",
        @"server" : server.socketPath != nil
            ? @{@"type" : @"unix", @"path" : server.socketPath}
            : @{
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

- (NSDictionary *)optionsWithName:(NSString *)name path:(NSString *)path {
    NSMutableDictionary *options = [_options mutableCopy];
    if (path != nil)
        options[@"filename"] = path;
    if (!_isReadOnly) {
        options[@"node-name"] = name;
        return options;
    }
    return @{@"driver" : @"raw", @"node-name" : name, @"read-only" : @YES, @"file" : options};
}

@end
