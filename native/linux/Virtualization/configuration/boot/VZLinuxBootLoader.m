// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "host/linux_kernel/LinuxKernelImage.h"
#import "QEMULinuxCommandLine.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#include <errno.h>

@implementation VZLinuxBootLoader

- (instancetype)initWithKernelURL:(NSURL *)kernelURL {
    if (!kernelURL) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: kernelURL is nil", [self class], NSStringFromSelector(_cmd)];
    }
    if ((self = [super initForSubclass])) {
        _kernelURL = [kernelURL copy];
        _commandLine = @"";
        _applevzAddsToCommandLine = YES;
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZLinuxBootLoader *copy = [super copyWithZone:zone];
    copy.kernelURL = self.kernelURL;
    copy.commandLine = self.commandLine;
    copy.initialRamdiskURL = self.initialRamdiskURL;
    copy.applevzAddsToCommandLine = self.applevzAddsToCommandLine;
    copy.applevzEarlyConsoleAttachment = self.applevzEarlyConsoleAttachment;
    return copy;
}

+ (NSString *)applevzCommandLineAdditions {
    return [QEMULinuxCommandLineAdditions() componentsJoinedByString:@" "];
}

+ (BOOL)applevzValidatesKernels {
    return YES;
}

- (NSString *)kernelPath {
    NSString *reason = nil;
    return VZPathOfFileURL(self.kernelURL, &reason);
}

- (VZHostFile *)openURL:(NSURL *)url as:(NSString *)property error:(NSError **)error {
    NSString *reason = nil;
    int errorNumber = 0;
    VZHostFile *file = [VZHostFile fileAtURL:url writable:NO blockDevices:NO reason:&reason errorNumber:&errorNumber];
    if (file && file.size == 0) {
        reason = [NSString stringWithFormat:@"is %@, which is empty", VZQuotedPathOfFileURL(url)];
        file = nil;
    }
    if (!file) {
        VZRefuse(error, VZInvalidConfigurationError(
                            [NSString stringWithFormat:@"%@ %@.", property, reason],
                            errorNumber == EACCES ? @"Give this user the permission to read the file."
                                                  : @"Name an existing, readable file.",
                            errorNumber ? VZSystemCallError(errorNumber, VZPathOfFileURL(url, &reason)) : nil));
    }
    return file;
}

- (BOOL)getLoadedSize:(uint64_t *)loadedSize leastMemorySize:(uint64_t *)leastMemorySize {
    VZHostFile *kernel = [self openURL:self.kernelURL as:@"kernelURL" error:NULL];
    VZHostFile *ramdisk =
        self.initialRamdiskURL ? [self openURL:self.initialRamdiskURL as:@"initialRamdiskURL" error:NULL] : nil;
    if (!kernel) {
        return NO;
    }
    LinuxKernelImage image = LinuxKernelImageRecognize(kernel.fileDescriptor);
    if (__builtin_add_overflow(image.loadedSize, ramdisk.size, loadedSize)) {
        *loadedSize = UINT64_MAX;
    }
    *leastMemorySize = LinuxKernelImageLeastMemorySize(image, ramdisk.size);
    return YES;
}

- (BOOL)validateCommandLineAs:(NSString *)property error:(NSError **)error {
    NSString *commandLine = self.commandLine;
    NSData *bytes = commandLine ? VZUTF8Data(commandLine) : nil;
    NSString *reason = nil;
    NSString *suggestion = @"Set it to an empty string for a kernel without parameters.";
    if (!commandLine) {
        reason = @"is nil";
    } else if (!bytes) {
        reason = [NSString stringWithFormat:@"is %@, which cannot be written in UTF-8", VZQuoted(commandLine)];
    } else if (bytes.length - 1 > VZLinuxMaximumCommandLineLength) {
        reason =
            [NSString stringWithFormat:@"is %@, of %lu bytes", VZQuoted(commandLine), (unsigned long)bytes.length - 1];
        suggestion = [NSString
            stringWithFormat:@"Linux keeps %d bytes and drops the rest: shorten it.", VZLinuxMaximumCommandLineLength];
    } else {
        unichar forbidden[] = {0, '\n', '\r'};
        NSCharacterSet *set =
            [NSCharacterSet characterSetWithCharactersInString:[NSString stringWithCharacters:forbidden length:3]];
        if ([commandLine rangeOfCharacterFromSet:set].location != NSNotFound) {
            reason = [NSString stringWithFormat:@"is %@, with a NUL or a line break in it", VZQuoted(commandLine)];
            suggestion = @"Put spaces between parameters.";
        }
    }
    if (!reason) {
        return YES;
    }
    return VZRefuse(
        error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@ %@.", property, reason], suggestion, nil));
}

- (VZHostFile *)openKernelAs:(NSString *)property error:(NSError **)error {
    NSString *name = [property stringByAppendingString:@".kernelURL"];
    VZHostFile *kernel = [self openURL:self.kernelURL as:name error:error];
    if (!kernel) {
        return nil;
    }
    LinuxKernelImageKind kind = LinuxKernelImageRecognize(kernel.fileDescriptor).kind;
    if (!LinuxKernelImageKindBootsHere(kind)) {
        VZRefuse(error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@ is %@, which is %@.", name,
                                                                               VZQuotedPathOfFileURL(self.kernelURL),
                                                                               LinuxKernelImageKindDescription(kind)],
                                                    LinuxKernelImageAdvice(kernel.fileDescriptor), nil));
        return nil;
    }
    return kernel;
}

- (VZHostFile *)openInitialRamdiskAs:(NSString *)property error:(NSError **)error {
    return [self openURL:self.initialRamdiskURL
                      as:[property stringByAppendingString:@".initialRamdiskURL"]
                   error:error];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    if (![self openKernelAs:property error:error] || (self.initialRamdiskURL && ![self openInitialRamdiskAs:property
                                                                                                      error:error])) {
        return NO;
    }
    return [self validateCommandLineAs:[property stringByAppendingString:@".commandLine"] error:error];
}

@end
