// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#include <errno.h>
#include <fcntl.h>

@implementation VZDiskBlockDeviceStorageDeviceAttachment

- (instancetype)initWithFileHandle:(NSFileHandle *)fileHandle
                          readOnly:(BOOL)readOnly
               synchronizationMode:(VZDiskSynchronizationMode)synchronizationMode
                             error:(NSError **)error {
    if (!fileHandle) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: fileHandle is nil", [self class], NSStringFromSelector(_cmd)];
    }
    if (!(self = [super initForSubclass])) {
        return nil;
    }
    if (!VZValidateDiskSynchronizationMode(synchronizationMode, error)) {
        return nil;
    }
    _fileHandle = fileHandle;
    _readOnly = readOnly;
    _synchronizationMode = synchronizationMode;
    return [self identityAs:@"fileHandle" error:error] ? self : nil;
}

- (BOOL)isWritable {
    int descriptor = self.fileHandle.fileDescriptor;
    int flags = fcntl(descriptor, F_GETFL);
    return !self.isReadOnly && flags >= 0 && (flags & O_ACCMODE) == O_RDWR;
}

- (NSString *)propertyOfData {
    return @"fileHandle";
}

- (NSString *)shownData {
    return [NSString stringWithFormat:@"descriptor %d", self.fileHandle.fileDescriptor];
}

// What is wrong with the handle; nil if nothing is. errorNumber is 0 if no system call failed.
- (NSString *)wrongWithHandle:(VZHostFile **)file errorNumber:(int *)errorNumber {
    int descriptor = self.fileHandle.fileDescriptor;
    NSString *reason = nil;
    VZHostFile *opened = [[VZHostFile alloc] initWithFileDescriptor:descriptor reason:&reason errorNumber:errorNumber];
    *file = opened;
    if (!opened) {
        return reason;
    }
    int flags = fcntl(descriptor, F_GETFL);
    if (!opened.isBlockDevice) {
        return [NSString stringWithFormat:@"has descriptor %d, which is not a block device's", descriptor];
    }
    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY) {
        return [NSString stringWithFormat:@"has descriptor %d, which was not opened for reading", descriptor];
    }
    if (opened.size == 0) {
        return [NSString stringWithFormat:@"has descriptor %d, a block device without a medium in it", descriptor];
    }
    return nil;
}

- (id)identityAs:(NSString *)property error:(NSError **)error {
    int errorNumber = 0;
    VZHostFile *file = nil;
    NSString *reason = [self wrongWithHandle:&file errorNumber:&errorNumber];
    if (!reason) {
        return file;
    }
    VZRefuse(error,
             VZInvalidDiskImageError([NSString stringWithFormat:@"%@ %@.", property, reason],
                                     @"Open a block device, such as /dev/sdb, for reading, and for writing unless "
                                     @"readOnly is set. A disk in a file is a VZDiskImageStorageDeviceAttachment.",
                                     errorNumber ? VZSystemCallError(errorNumber, nil) : nil));
    return nil;
}

@end
