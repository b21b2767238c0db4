// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "QEMU/QEMUKernelImage.h"
#import "QEMU/QEMULinuxCommandLine.h"
#import "VZErrors+Private.h"
#import "VZHostFile+Private.h"
#include <errno.h>

@implementation VZLinuxBootLoader

- (instancetype)initWithKernelURL:(NSURL *)kernelURL
{
    if (!kernelURL) {
        [NSException raise:NSInvalidArgumentException format:@"*** -[%@ %@]: kernelURL is nil", [self class],
                                                             NSStringFromSelector(_cmd)];
    }
    if ((self = [super initForSubclass])) {
        _kernelURL = [kernelURL copy];
        _commandLine = @"";
        _applevzAddsToCommandLine = YES;
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone
{
    VZLinuxBootLoader *copy = [super copyWithZone:zone];
    copy.kernelURL = self.kernelURL;
    copy.commandLine = self.commandLine;
    copy.initialRamdiskURL = self.initialRamdiskURL;
    copy.applevzAddsToCommandLine = self.applevzAddsToCommandLine;
    return copy;
}

+ (NSString *)applevzCommandLineAdditions
{
    return [QEMULinuxCommandLineAdditions() componentsJoinedByString:@" "];
}

- (NSString *)kernelPath
{
    NSString *reason = nil;
    return VZPathOfFileURL(self.kernelURL, &reason);
}

- (NSString *)initialRamdiskPath
{
    NSString *reason = nil;
    return VZPathOfFileURL(self.initialRamdiskURL, &reason);
}

- (VZHostFile *)openURL:(NSURL *)url as:(NSString *)property error:(NSError **)error
{
    NSString *reason = nil;
    int errorNumber = 0;
    VZHostFile *file = [VZHostFile fileAtURL:url
                                    writable:NO
                                blockDevices:NO
                                      reason:&reason
                                 errorNumber:&errorNumber];
    if (file && file.size == 0) {
        reason = [NSString stringWithFormat:@"is %@, which is empty", VZQuoted(url.path)];
        file = nil;
    }
    if (!file) {
        VZRefuse(error, VZInvalidConfigurationError(
            [NSString stringWithFormat:@"%@ %@.", property, reason],
            errorNumber == EACCES ? @"Give this user the permission to read the file."
                                  : @"Name an existing, readable file.",
            errorNumber ? VZSystemCallError(errorNumber, url.path) : nil));
    }
    return file;
}

- (uint64_t)loadedSize
{
    VZHostFile *kernel = [self openURL:self.kernelURL as:@"kernelURL" error:NULL];
    VZHostFile *ramdisk = self.initialRamdiskURL ? [self openURL:self.initialRamdiskURL
                                                              as:@"initialRamdiskURL"
                                                           error:NULL] : nil;
    uint64_t size = kernel ? QEMUKernelImageRecognize(kernel.fileDescriptor).loadedSize : 0;
    return __builtin_add_overflow(size, ramdisk.size, &size) ? UINT64_MAX : size;
}

- (BOOL)validateCommandLineAs:(NSString *)property error:(NSError **)error
{
    NSString *commandLine = self.commandLine;
    NSData *bytes = commandLine ? VZUTF8Data(commandLine) : nil;
    NSString *reason = nil;
    NSString *suggestion = @"Set it to an empty string for a kernel without parameters.";
    if (!commandLine) {
        reason = @"is nil";
    } else if (!bytes) {
        reason = [NSString stringWithFormat:@"is %@, which cannot be written in UTF-8", VZQuoted(commandLine)];
    } else if (bytes.length - 1 > VZLinuxMaximumCommandLineLength) {
        reason = [NSString stringWithFormat:@"is %@, of %lu bytes", VZQuoted(commandLine),
                                            (unsigned long)bytes.length - 1];
        suggestion = [NSString stringWithFormat:@"Linux keeps %d bytes and drops the rest: shorten it.",
                                                VZLinuxMaximumCommandLineLength];
    } else {
        unichar forbidden[] = {0, '\n', '\r'};
        NSCharacterSet *set = [NSCharacterSet
            characterSetWithCharactersInString:[NSString stringWithCharacters:forbidden length:3]];
        if ([commandLine rangeOfCharacterFromSet:set].location != NSNotFound) {
            reason = [NSString stringWithFormat:@"is %@, with a NUL or a line break in it", VZQuoted(commandLine)];
            suggestion = @"Put spaces between parameters.";
        }
    }
    if (!reason) {
        return YES;
    }
    return VZRefuse(error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@ %@.", property, reason],
                                                       suggestion, nil));
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error
{
    NSString *kernelName = [property stringByAppendingString:@".kernelURL"];
    NSString *ramdiskName = [property stringByAppendingString:@".initialRamdiskURL"];
    VZHostFile *kernel = [self openURL:self.kernelURL as:kernelName error:error];
    if (!kernel) {
        return NO;
    }
    QEMUKernelImageKind kind = QEMUKernelImageRecognize(kernel.fileDescriptor).kind;
    if (!QEMUKernelImageKindBootsHere(kind)) {
        return VZRefuse(error, VZInvalidConfigurationError(
            [NSString stringWithFormat:@"%@ is %@, which is %@.", kernelName, VZQuoted(self.kernelPath),
                                       QEMUKernelImageKindDescription(kind)],
            QEMUKernelImageKindAdvice(kind), nil));
    }
    if (self.initialRamdiskURL && ![self openURL:self.initialRamdiskURL as:ramdiskName error:error]) {
        return NO;
    }
    return [self validateCommandLineAs:[property stringByAppendingString:@".commandLine"] error:error];
}

@end
