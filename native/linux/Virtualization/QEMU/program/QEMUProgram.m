// SPDX-License-Identifier: Apache-2.0
#import "QEMUProgram.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import <sys/stat.h>
#import <unistd.h>

static NSString *const ProgramName = @"qemu-system-x86_64";
static NSString *const InstallAdvice =
    @"Install QEMU 7.2 or later (Debian and Ubuntu: the package qemu-system-x86), or "
    @"name the program in the environment variable APPLEVZ_QEMU.";

BOOL QEMUIsProgram(NSString *path) {
    struct stat status;
    const char *name = VZBytesOfPath(path);
    return [path hasPrefix:@"/"] && stat(name, &status) == 0 && S_ISREG(status.st_mode) && access(name, X_OK) == 0;
}

@implementation QEMUProgram

+ (NSString *)pathWithError:(NSError **)error {
#if !defined(__x86_64__)
    VZRefuse(error,
             VZErrorWithReason(VZErrorNotSupported, @"This host cannot run virtual machines.",
                               @"Its processor is not of the x86-64 architecture.", @"Use an x86-64 host.", nil));
    return nil;
#endif
    NSString *path = VZPathInEnvironment("APPLEVZ_QEMU");
    if (path != nil) {
        if (QEMUIsProgram(path))
            return path;
        NSString *reason = [NSString
            stringWithFormat:@"APPLEVZ_QEMU is %@, which is not the absolute path of a program.", VZQuoted(path)];
        VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"QEMU was not found.", reason, InstallAdvice, nil));
        return nil;
    }
    NSString *folders = VZPathInEnvironment("PATH");
    for (NSString *folder in [folders ?: @"/usr/local/bin:/usr/bin:/bin" componentsSeparatedByString:@":"]) {
        path = [folder stringByAppendingFormat:@"/%@", ProgramName];
        if (QEMUIsProgram(path))
            return path;
    }
    NSString *reason =
        [NSString stringWithFormat:@"There is no %@ in the folders of PATH (%@).", ProgramName, VZQuoted(folders)];
    VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"QEMU is not installed.", reason, InstallAdvice, nil));
    return nil;
}

+ (NSString *)identityOfPath:(NSString *)path {
    struct stat status = {0};
    stat(VZBytesOfPath(path), &status);
    return [NSString stringWithFormat:@"%@ %llu %llu %lld.%09ld", path, (unsigned long long)status.st_dev,
                                      (unsigned long long)status.st_ino, (long long)status.st_mtim.tv_sec,
                                      status.st_mtim.tv_nsec];
}

@end
