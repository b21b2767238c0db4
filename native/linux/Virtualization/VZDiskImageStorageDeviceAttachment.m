// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "QEMU/QEMUDiskImageFormat.h"
#import "VZErrors+Private.h"
#import "VZHostFile+Private.h"
#include <errno.h>
#include <fcntl.h>

enum { sectorSize = 512 };

@implementation VZDiskImageStorageDeviceAttachment

- (instancetype)initWithURL:(NSURL *)url readOnly:(BOOL)readOnly error:(NSError **)error
{
    return [self initWithURL:url
                    readOnly:readOnly
                 cachingMode:VZDiskImageCachingModeAutomatic
         synchronizationMode:VZDiskImageSynchronizationModeFull
                       error:error];
}

- (instancetype)initWithURL:(NSURL *)url
                   readOnly:(BOOL)readOnly
                cachingMode:(VZDiskImageCachingMode)cachingMode
        synchronizationMode:(VZDiskImageSynchronizationMode)synchronizationMode
                      error:(NSError **)error
{
    if (!url) {
        [NSException raise:NSInvalidArgumentException format:@"*** -[%@ %@]: url is nil", [self class],
                                                             NSStringFromSelector(_cmd)];
    }
    if (!(self = [super initForSubclass])) {
        return nil;
    }
    if (cachingMode < VZDiskImageCachingModeAutomatic || cachingMode > VZDiskImageCachingModeCached) {
        VZRefuse(error, VZInvalidConfigurationError(
            [NSString stringWithFormat:@"cachingMode is %ld.", (long)cachingMode],
            @"Use one of the values of VZDiskImageCachingMode.", nil));
        return nil;
    }
    if (synchronizationMode < VZDiskImageSynchronizationModeFull
        || synchronizationMode > VZDiskImageSynchronizationModeNone) {
        VZRefuse(error, VZInvalidConfigurationError(
            [NSString stringWithFormat:@"synchronizationMode is %ld.", (long)synchronizationMode],
            @"Use one of the values of VZDiskImageSynchronizationMode.", nil));
        return nil;
    }
    _URL = [url copy];
    _readOnly = readOnly;
    _cachingMode = cachingMode;
    _synchronizationMode = synchronizationMode;
    NSError *wrong = nil;
    BOOL usable;
    @autoreleasepool {
        // Not left open until the caller's pool ends.
        usable = [self openAs:@"URL" error:&wrong] != nil;
    }
    if (!usable) {
        VZRefuse(error, wrong);
        return nil;
    }
    return self;
}

- (NSString *)resolvedPath
{
    return VZResolvedPathOfFileURL(self.URL);
}

// What is wrong with an image that can be opened; nil if nothing is.
- (NSString *)wrongWithFile:(VZHostFile *)file suggestion:(NSString **)suggestion
{
    if (file.size == 0) {
        *suggestion = @"Make it as large as the disk is to be: truncate -s SIZE FILE.";
        return @"is empty";
    }
    NSString *format = QEMUDiskImageForeignFormat(file.fileDescriptor);
    if (format) {
        *suggestion = [format hasSuffix:@"compressed"] || [format isEqual:@"ZIP"]
            ? @"Unpack it and attach what is in it."
            : @"Convert it and attach the result: qemu-img convert -O raw FILE NEWFILE.";
        return [NSString stringWithFormat:@"is in %@ format, not raw", format];
    }
    if (file.size % sectorSize != 0) {
        *suggestion = [NSString stringWithFormat:@"Lengthen it to %llu bytes with truncate, if it is a raw image.",
                                                 (unsigned long long)(file.size / sectorSize + 1) * sectorSize];
        return [NSString stringWithFormat:@"has a size of %llu bytes, not a multiple of %d",
                                          (unsigned long long)file.size, sectorSize];
    }
    if (self.cachingMode == VZDiskImageCachingModeUncached && fcntl(file.fileDescriptor, F_SETFL, O_DIRECT) != 0) {
        *suggestion = @"Use VZDiskImageCachingModeCached, or move the image to another file system.";
        return @"is on a file system that cannot pass by the page cache, which cachingMode asks for";
    }
    return nil;
}

- (VZHostFile *)openAs:(NSString *)property error:(NSError **)error
{
    NSString *reason = nil;
    NSString *suggestion = @"Name an existing file that this user may read, and write unless readOnly is set.";
    int errorNumber = 0;
    VZHostFile *file = [VZHostFile fileAtURL:self.URL
                                    writable:!self.isReadOnly
                                blockDevices:YES
                                      reason:&reason
                                 errorNumber:&errorNumber];
    NSString *wrong = file ? [self wrongWithFile:file suggestion:&suggestion] : nil;
    if (wrong) {
        reason = [NSString stringWithFormat:@"is %@, which %@", VZQuoted(self.URL.path), wrong];
        file = nil;
    } else if (errorNumber == EACCES || errorNumber == EROFS || errorNumber == EPERM) {
        suggestion = self.isReadOnly ? @"Give this user the permission to read the file."
                                     : @"Give this user the permission to write the file, or attach it with readOnly.";
    }
    if (!file) {
        VZRefuse(error, VZInvalidDiskImageError([NSString stringWithFormat:@"%@ %@.", property, reason], suggestion,
                                                errorNumber ? VZSystemCallError(errorNumber, self.URL.path) : nil));
    }
    return file;
}

- (id)identityAs:(NSString *)property error:(NSError **)error
{
    return [self openAs:property error:error];
}

- (BOOL)isWritable
{
    return !self.isReadOnly;
}

- (NSString *)propertyOfData
{
    return @"URL";
}

- (NSString *)shownData
{
    return VZQuoted(self.URL.path);
}

@end
