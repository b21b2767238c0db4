// SPDX-License-Identifier: Apache-2.0
#import "QEMUProgram.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import <stdlib.h>
#import <sys/stat.h>
#import <unistd.h>

static NSString *const ProgramName = @"qemu-system-x86_64";
static NSString *const InstallAdvice = @"Install QEMU 7.2 or later (Debian and Ubuntu: the package qemu-system-x86), or "
                                       @"name the program in the environment variable APPLEVZ_QEMU.";

static BOOL is_program(NSString *path) {
    struct stat status;
    const char *name = path.UTF8String;
    return stat(name, &status) == 0 && S_ISREG(status.st_mode) && access(name, X_OK) == 0;
}

@implementation QEMUProgram

+ (NSString *)pathWithError:(NSError **)error {
#if !defined(__x86_64__)
    VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"This host cannot run virtual machines.",
                                      @"Its processor is not of the x86-64 architecture.", @"Use an x86-64 host.", nil));
    return nil;
#endif
    // getenv, not NSProcessInfo, which keeps the environment of the moment when it was first asked.
    const char *named = getenv("APPLEVZ_QEMU");
    if (named != NULL && *named != '\0') {
        NSString *path = [NSString stringWithUTF8String:named];
        if (path.isAbsolutePath && is_program(path))
            return path;
        NSString *reason = [NSString stringWithFormat:@"APPLEVZ_QEMU is %@, which is not the absolute path of a program.",
                                                      VZQuoted(path)];
        VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"QEMU was not found.", reason, InstallAdvice, nil));
        return nil;
    }
    const char *search = getenv("PATH");
    NSString *folders = search != NULL ? [NSString stringWithUTF8String:search] : nil;
    for (NSString *folder in [folders ?: @"/usr/local/bin:/usr/bin:/bin" componentsSeparatedByString:@":"]) {
        NSString *path = [folder stringByAppendingPathComponent:ProgramName];
        if (path.isAbsolutePath && is_program(path))
            return path;
    }
    NSString *reason = [NSString stringWithFormat:@"There is no %@ in the folders of PATH (%@).", ProgramName,
                                                  VZQuoted(folders)];
    VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"QEMU is not installed.", reason, InstallAdvice, nil));
    return nil;
}

@end
