// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "QEMU/program/QEMUFirmware.h"
#import "QEMU/program/QEMUVariableStore.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "support/VZNewFile+Private.h"
#include <errno.h>
#include <unistd.h>

static NSString *const inUse = @"is in use by a machine that runs, or by another program that has it locked";

@implementation VZEFIVariableStore

- (instancetype)initWithURL:(NSURL *)URL {
    if (!URL) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: URL is nil", [self class], NSStringFromSelector(_cmd)];
    }
    if ((self = [super init])) {
        _URL = [URL copy];
    }
    return self;
}

- (instancetype)initCreatingVariableStoreAtURL:(NSURL *)URL
                                       options:(VZEFIVariableStoreInitializationOptions)options
                                         error:(NSError **)error {
    if (!(self = [self initWithURL:URL])) {
        return nil;
    }
    NSError *wrong = nil;
    BOOL made;
    @autoreleasepool {
        // What is opened is not left open until the caller's pool ends.
        made = [self createWithOptions:options error:&wrong];
    }
    if (!made) {
        VZRefuse(error, wrong);
        return nil;
    }
    return self;
}

#pragma mark Making the file

static BOOL refuseToCreate(NSError **error, NSString *reason, NSString *suggestion, int number, NSString *path) {
    NSMutableDictionary *information = [@{
        NSLocalizedDescriptionKey : @"The EFI variable store cannot be made.",
        NSLocalizedFailureReasonErrorKey : reason,
        NSLocalizedRecoverySuggestionErrorKey : suggestion,
    } mutableCopy];
    if (path) {
        information[NSFilePathErrorKey] = path;
    }
    return VZRefuse(error, [NSError errorWithDomain:NSPOSIXErrorDomain code:number userInfo:information]);
}

static BOOL writeEverything(int descriptor, NSData *contents) {
    const char *bytes = contents.bytes;
    for (size_t written = 0; written < contents.length;) {
        ssize_t count = pwrite(descriptor, bytes + written, contents.length - written, (off_t)written);
        if (count < 0 && errno != EINTR) {
            return NO;
        }
        written += count > 0 ? (size_t)count : 0;
    }
    return YES;
}

// A file of its own first, which then gets the name in one step: a store is whole, or is not there.
- (BOOL)createWithOptions:(VZEFIVariableStoreInitializationOptions)options error:(NSError **)error {
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(self.URL, &reason);
    if (!path) {
        return VZRefuse(error, VZInvalidConfigurationError([NSString stringWithFormat:@"URL %@.", reason],
                                                           @"Give the URL of a file.", nil));
    }
    QEMUFirmware *firmware = [QEMUFirmware firmwareWithError:error];
    NSData *contents = firmware ? [firmware emptyVariablesWithError:error] : nil;
    if (!contents) {
        return NO;
    }
    BOOL overwrites = (options & VZEFIVariableStoreInitializationOptionAllowOverwrite) != 0;
    int number = 0;
    VZHostFile *old = overwrites ? [[VZHostFile alloc] initWithPath:path
                                                           writable:YES
                                                       blockDevices:NO
                                                             reason:&reason
                                                        errorNumber:&number]
                                 : nil;
    // A device, a FIFO or a folder is not what is lost when a store is overwritten.
    if (overwrites && !old && number == 0) {
        return refuseToCreate(error, [NSString stringWithFormat:@"URL %@.", reason], @"Give another name.", EEXIST,
                              path);
    }
    if (old && QEMUFileIsLocked(old.fileDescriptor)) {
        return refuseToCreate(error, [NSString stringWithFormat:@"URL is %@, which %@.", VZQuoted(path), inUse],
                              @"Stop that machine first, or give another name.", EBUSY, path);
    }
    // A symbolic link stays, and what it leads to is replaced.
    NSString *target = old ? self.resolvedPath : path;
    VZNewFile *file = [[VZNewFile alloc] initForPath:target];
    number = [file create];
    if (number == 0 && !writeEverything(file.file.number, contents)) {
        number = errno;
    }
    if (number == 0) {
        number = overwrites ? [file replace] : [file giveName];
    }
    if (number == 0) {
        return YES;
    }
    return refuseToCreate(
        error,
        [NSString stringWithFormat:@"URL is %@, %@: %@.", VZQuoted(path),
                                   number == EEXIST ? @"which is there already" : @"where no file can be made",
                                   VZSystemCallErrorText(number)],
        number == EEXIST ? @"Open it, or allow that it is overwritten, which loses what is in it "
                           @"(VZEFIVariableStoreInitializationOptionAllowOverwrite)."
                         : @"Name a file in a folder that is there and that this user may write.",
        number, path);
}

#pragma mark Looking at the file

- (NSString *)resolvedPath {
    return VZResolvedPathOfFileURL(self.URL);
}

- (VZHostFile *)openAs:(NSString *)property error:(NSError **)error {
    NSString *reason = nil;
    NSString *suggestion = @"Name a store that VZEFIVariableStore made on such a host, or make one.";
    int errorNumber = 0;
    VZHostFile *file = [VZHostFile fileAtURL:self.URL
                                    writable:YES
                                blockDevices:NO
                                      reason:&reason
                                 errorNumber:&errorNumber];
    if (errorNumber == EACCES || errorNumber == EROFS || errorNumber == EPERM) {
        suggestion = @"Give this user the permission to read and write the file.";
    }
    QEMUFirmware *firmware = file ? [QEMUFirmware firmwareWithError:error] : nil;
    if (file && !firmware) {
        return nil;
    }
    NSString *wrong = file ? QEMUVariableStoreDamage(file.fileDescriptor, firmware.variablesSize) : nil;
    if (wrong) {
        reason = [NSString stringWithFormat:@"is %@, which %@", VZQuotedPathOfFileURL(self.URL), wrong];
        suggestion = @"Use a copy of it that is whole, or make a new store: what the old one held is lost then.";
        file = nil;
    }
    if (!file) {
        VZRefuse(error, VZInvalidConfigurationError(
                            [NSString stringWithFormat:@"%@.URL %@.", property, reason], suggestion,
                            errorNumber ? VZSystemCallError(errorNumber, VZPathOfFileURL(self.URL, &reason)) : nil));
    }
    return file;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return [self openAs:property error:error] != nil;
}

- (VZHostFile *)openFreeAs:(NSString *)property error:(NSError **)error {
    VZHostFile *file = [self openAs:property error:error];
    if (!file || !QEMUFileIsLocked(file.fileDescriptor)) {
        return file;
    }
    VZRefuse(error, VZInvalidConfigurationError(
                        [NSString stringWithFormat:@"%@.URL is %@, which %@.", property,
                                                   VZQuotedPathOfFileURL(self.URL), inUse],
                        @"Give each machine a variable store of its own, or stop the other one first.", nil));
    return nil;
}

@end
