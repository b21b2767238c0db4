// SPDX-License-Identifier: Apache-2.0
#import "VZDiskOverlays+Private.h"
#import "configuration/VZConfiguration+Private.h"
#import "host/HostDiskImageFormat.h"
#import "QEMU/program/QEMUVariableStore.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#include <errno.h>
#include <fcntl.h>

enum { sectorSize = 512 };

@implementation VZDiskImageStorageDeviceAttachment

- (instancetype)initWithURL:(NSURL *)url readOnly:(BOOL)readOnly error:(NSError **)error {
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
                      error:(NSError **)error {
    if (!(self = [super initForSubclass])) {
        return nil;
    }
    [self takeURL:url baseURLs:@[] readOnly:readOnly cachingMode:cachingMode synchronizationMode:synchronizationMode];
    return [self isUsableWithError:error] ? self : nil;
}

+ (instancetype)applevzAttachmentWithURL:(NSURL *)url
                                baseURLs:(NSArray<NSURL *> *)baseURLs
                               ephemeral:(BOOL)ephemeral
                     overlayDirectoryURL:(NSURL *)overlayDirectoryURL
                                readOnly:(BOOL)readOnly
                             cachingMode:(NSInteger)cachingMode
                     synchronizationMode:(NSInteger)synchronizationMode
                                   error:(NSError **)error {
    VZDiskImageStorageDeviceAttachment *attachment = [[self alloc] initForSubclass];
    [attachment takeURL:url
                   baseURLs:baseURLs
                   readOnly:readOnly
                cachingMode:cachingMode
        synchronizationMode:synchronizationMode];
    if (ephemeral && readOnly) {
        VZRefuseConfiguration(error, @"ephemeral is YES, and readOnly too: nothing is written that could be gone.",
                              @"Leave one of them out.");
        return nil;
    }
    if (overlayDirectoryURL && !ephemeral && baseURLs.count == 0) {
        VZRefuseConfiguration(error,
                              [NSString stringWithFormat:@"overlayDirectory is %@, ephemeral is NO and base is nil.",
                                                         VZQuotedPathOfFileURL(overlayDirectoryURL)],
                              @"Leave it out: what is written to such a disk stays in the image's own file.");
        return nil;
    }
    attachment->_isEphemeral = ephemeral;
    attachment->_overlayDirectoryURL = [overlayDirectoryURL copy];
    return [attachment isUsableWithError:error] ? attachment : nil;
}

- (void)takeURL:(NSURL *)url
               baseURLs:(NSArray<NSURL *> *)baseURLs
               readOnly:(BOOL)readOnly
            cachingMode:(VZDiskImageCachingMode)cachingMode
    synchronizationMode:(VZDiskImageSynchronizationMode)synchronizationMode {
    if (!url) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: url is nil", [self class], NSStringFromSelector(_cmd)];
    }
    _URL = [url copy];
    _baseURLs = [baseURLs copy];
    _readOnly = readOnly;
    _cachingMode = cachingMode;
    _synchronizationMode = synchronizationMode;
}

static BOOL refusesBases(NSArray<NSURL *> *bases, NSError **error) {
    if (bases.count <= VZMaximumBaseCount) {
        return NO;
    }
    VZRefuse(error, VZInvalidDiskImageError(
                        [NSString stringWithFormat:@"base names %lu images, each on the next; there may be %d.",
                                                   (unsigned long)bases.count, VZMaximumBaseCount],
                        @"Begin anew with a raw image that has what the disk has.", nil));
    return YES;
}

- (BOOL)isUsableWithError:(NSError **)error {
    if (refusesBases(_baseURLs, error)) {
        return NO;
    }
    if (_cachingMode < VZDiskImageCachingModeAutomatic || _cachingMode > VZDiskImageCachingModeCached) {
        return VZRefuse(
            error, VZInvalidConfigurationError([NSString stringWithFormat:@"cachingMode is %ld.", (long)_cachingMode],
                                               @"Use one of the values of VZDiskImageCachingMode.", nil));
    }
    if (_synchronizationMode < VZDiskImageSynchronizationModeFull ||
        _synchronizationMode > VZDiskImageSynchronizationModeNone) {
        return VZRefuse(error,
                        VZInvalidConfigurationError(
                            [NSString stringWithFormat:@"synchronizationMode is %ld.", (long)_synchronizationMode],
                            @"Use one of the values of VZDiskImageSynchronizationMode.", nil));
    }
    NSError *wrong = nil;
    BOOL usable;
    @autoreleasepool {
        // Not left open until the caller's pool ends.
        usable = [self identityAs:@"URL" error:&wrong] != nil;
    }
    return usable || VZRefuse(error, wrong);
}

- (NSString *)resolvedPath {
    return VZResolvedPathOfFileURL(self.URL);
}

// What is wrong with a raw image that can be opened; nil if nothing is. It is of that size.
- (NSString *)wrongWithRawFile:(VZHostFile *)file size:(uint64_t *)size suggestion:(NSString **)suggestion {
    *size = file.size;
    if (file.size == 0) {
        *suggestion = @"Make it as large as the disk is to be: truncate -s SIZE FILE.";
        return @"is empty";
    }
    NSString *format = HostDiskImageForeignFormat(file.fileDescriptor);
    if (format) {
        *suggestion =
            [format hasSuffix:@"compressed"] || [format isEqual:@"ZIP"]
                ? @"Unpack it and attach what is in it."
                : @"Convert it and attach the result: qemu-img convert -O raw FILE NEWFILE. One that was made "
                  @"here of a base is attached with that base, which in a list of bases is named after it.";
        return [NSString stringWithFormat:@"is in %@ format, not raw", format];
    }
    if (file.size % sectorSize != 0) {
        *suggestion = [NSString stringWithFormat:@"Lengthen it to %llu bytes with truncate, if it is a raw image.",
                                                 (unsigned long long)(file.size / sectorSize + 1) * sectorSize];
        return [NSString stringWithFormat:@"has a size of %llu bytes, not a multiple of %d",
                                          (unsigned long long)file.size, sectorSize];
    }
    return nil;
}

static NSString *wrongWithPlace(VZHostFile *file, VZOpenedImage *base, NSString **suggestion) {
    for (VZOpenedImage *below = base; below; below = below.base) {
        if ([file isSameFileAs:below.file]) {
            *suggestion = @"Name each image once, from the one that was made last down to the raw one.";
            return @"also lies below itself";
        }
    }
    return nil;
}

// The image is an overlay over the base, or raw where there is none.
- (VZOpenedImage *)openURL:(NSURL *)url
                  writable:(BOOL)writable
                      base:(VZOpenedImage *)base
                        as:(NSString *)property
                     error:(NSError **)error {
    NSString *reason = nil;
    NSString *suggestion = @"Name an existing file that this user may read, and write unless readOnly is set.";
    int errorNumber = 0;
    VZHostFile *file = [VZHostFile fileAtURL:url
                                    writable:writable
                                blockDevices:base == nil
                                      reason:&reason
                                 errorNumber:&errorNumber];
    uint64_t size = 0;
    NSString *wrong = file ? wrongWithPlace(file, base, &suggestion) : nil;
    if (file && !wrong) {
        wrong = base ? VZWrongWithOverlay(file, base, &size, &suggestion)
                     : [self wrongWithRawFile:file size:&size suggestion:&suggestion];
    }
    // Last: what is read of it before is not read by blocks.
    if (file && !wrong && self.cachingMode == VZDiskImageCachingModeUncached &&
        fcntl(file.fileDescriptor, F_SETFL, O_DIRECT) != 0) {
        suggestion = @"Use VZDiskImageCachingModeCached, or move the image to another file system.";
        wrong = @"is on a file system that cannot pass by the page cache, which cachingMode asks for";
    }
    if (wrong) {
        reason = [NSString stringWithFormat:@"is %@, which %@", VZQuotedPathOfFileURL(url), wrong];
        file = nil;
    } else if (errorNumber == EACCES || errorNumber == EROFS || errorNumber == EPERM) {
        suggestion = writable ? @"Give this user the permission to write the file, or attach it with readOnly."
                              : @"Give this user the permission to read the file.";
    }
    if (!file) {
        VZRefuse(error, VZInvalidDiskImageError(
                            [NSString stringWithFormat:@"%@ %@.", property, reason], suggestion,
                            errorNumber ? VZSystemCallError(errorNumber, VZPathOfFileURL(url, &reason)) : nil));
        return nil;
    }
    return [[VZOpenedImage alloc] initWithFile:file size:size base:base];
}

// bases are the names of those below it; the last one is opened first.
- (VZOpenedImage *)openAs:(NSString *)property bases:(NSArray<NSString *> *)bases error:(NSError **)error {
    VZOpenedImage *image = nil;
    for (NSUInteger i = self.baseURLs.count; i-- > 0;) {
        image = [self openURL:self.baseURLs[i] writable:NO base:image as:bases[i] error:error];
        if (!image) {
            return nil;
        }
    }
    return [self openURL:self.URL writable:self.isWritable base:image as:property error:error];
}

// One base is called by the property, several by their places from the first one on.
static NSArray<NSString *> *namesOfBases(NSString *property, NSUInteger count, NSUInteger first) {
    NSMutableArray<NSString *> *names = [NSMutableArray array];
    for (NSUInteger i = 0; i < count; i++) {
        [names addObject:first + count > 1 ? VZNameOfElement(property, first + i) : property];
    }
    return names;
}

- (VZOpenedImage *)openAs:(NSString *)property error:(NSError **)error {
    NSArray *bases = namesOfBases(VZPropertyBeside(property, @"base"), self.baseURLs.count, 0);
    return [self openAs:property bases:bases error:error];
}

+ (BOOL)applevzCreateImageAtURL:(NSURL *)url
                        ofBases:(NSArray<NSURL *> *)baseURLs
                           size:(uint64_t)size
                        cloning:(AppleVZCloning)cloning
                        isClone:(BOOL *)isClone
                          error:(NSError **)error {
    VZDiskImageStorageDeviceAttachment *attachment = [[self alloc] initForSubclass];
    NSArray<NSURL *> *below = [baseURLs subarrayWithRange:NSMakeRange(1, baseURLs.count - 1)];
    [attachment takeURL:baseURLs[0]
                   baseURLs:below
                   readOnly:YES
                cachingMode:VZDiskImageCachingModeCached
        synchronizationMode:VZDiskImageSynchronizationModeFull];
    NSString *name = below.count > 0 ? VZNameOfElement(@"base", 0) : @"base";
    if (refusesBases(baseURLs, error)) {
        return NO;
    }
    VZOpenedImage *base = [attachment openAs:name bases:namesOfBases(@"base", below.count, 1) error:error];
    NSString *wrong = nil, *suggestion = @"Name a file that stays as it is.";
    if (base.file.isBlockDevice) {
        wrong = @"is a block device, of which nobody can tell later whether it was written since";
    } else if (base && QEMUFileIsWritten(base.file.fileDescriptor)) {
        wrong = @"another process writes, such as the QEMU of a machine that runs";
    } else if (base && size > 0 && size < base.size) {
        wrong = [NSString stringWithFormat:@"has %llu bytes, and size is %llu: a disk is not smaller than its base",
                                           (unsigned long long)base.size, (unsigned long long)size];
        suggestion = @"Give at least the size of the base, or leave size out.";
    }
    if (wrong) {
        VZRefuse(error, VZInvalidDiskImageError([NSString stringWithFormat:@"%@ is %@, which %@.", name,
                                                                           VZQuotedPathOfFileURL(baseURLs[0]), wrong],
                                                suggestion, nil));
    }
    return base && !wrong && VZCreateImageOfBase(url, base, size ?: base.size, cloning, isClone, error);
}

- (HostDescriptor *)newOverlayFileAs:(NSString *)property error:(NSError **)error {
    return VZNewOverlayFile(self.overlayDirectoryURL, self.cachingMode == VZDiskImageCachingModeUncached, property,
                            error);
}

- (id)identityAs:(NSString *)property error:(NSError **)error {
    VZHostFile *file = [self openAs:property error:error].file;
    if (file && self.isEphemeral &&
        ![self newOverlayFileAs:VZPropertyBeside(property, @"overlayDirectory") error:error]) {
        return nil;
    }
    return file;
}

- (BOOL)isWritable {
    return !self.isReadOnly && !self.isEphemeral;
}

- (BOOL)isCarried {
    return self.isEphemeral || (self.baseURLs.count > 0 && !self.isReadOnly);
}

- (NSString *)propertyOfData {
    return @"URL";
}

- (NSString *)shownData {
    return VZQuotedPathOfFileURL(self.URL);
}

@end
