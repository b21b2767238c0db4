// SPDX-License-Identifier: Apache-2.0
#import "QEMUFileServerProgram.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUSharedDirectories.h"
#import "QEMUVersion.h"
#import <stdlib.h>
#import <sys/stat.h>
#import <unistd.h>

static NSString *const InstallAdvice = @"Install virtiofsd (Debian 12: the package qemu-system-common; later ones and Ubuntu: "
                                       @"virtiofsd), or name the program in the environment variable APPLEVZ_VIRTIOFSD.";

static BOOL is_program(NSString *path) {
    struct stat status;
    const char *name = path.UTF8String;
    return name != NULL && stat(name, &status) == 0 && S_ISREG(status.st_mode) && access(name, X_OK) == 0;
}

/// The program that a description names, if it is one for file systems (QEMU's docs/interop/vhost-user.json).
static NSString *program_of_description(NSString *path) {
    NSData *data = [NSData dataWithContentsOfFile:path];
    id description = data != nil ? [NSJSONSerialization JSONObjectWithData:data options:0 error:NULL] : nil;
    if (![description isKindOfClass:[NSDictionary class]] || ![description[@"type"] isEqual:@"fs"])
        return nil;
    id program = description[@"binary"];
    return [program isKindOfClass:[NSString class]] && [program isAbsolutePath] && is_program(program) ? program : nil;
}

/// The descriptions in the order in which they count: by their names, of which one in an earlier folder hides another.
static NSArray<NSString *> *descriptions(void) {
    NSMutableDictionary<NSString *, NSString *> *paths = [NSMutableDictionary dictionary];
    for (NSString *folder in @[ @"/etc/qemu/vhost-user", @"/usr/local/share/qemu/vhost-user", @"/usr/share/qemu/vhost-user" ])
        for (NSString *name in [[NSFileManager defaultManager] contentsOfDirectoryAtPath:folder error:NULL])
            if ([name hasSuffix:@".json"] && paths[name] == nil)
                paths[name] = [folder stringByAppendingPathComponent:name];
    NSArray<NSString *> *names = [paths.allKeys sortedArrayUsingSelector:@selector(compare:)];
    return [paths objectsForKeys:names notFoundMarker:@""];
}

@implementation QEMUFileServerProgram

- (instancetype)initWithPath:(NSString *)path {
    self = [super init];
    if (self != nil)
        _path = path;
    return self;
}

+ (instancetype)programWithError:(NSError **)error {
    const char *named = getenv("APPLEVZ_VIRTIOFSD");
    if (named != NULL && *named != '\0') {
        NSString *path = [NSString stringWithUTF8String:named];
        if (path.isAbsolutePath && is_program(path))
            return [[self alloc] initWithPath:path];
        NSString *reason = [NSString stringWithFormat:@"APPLEVZ_VIRTIOFSD is %@, which is not the absolute path of a program.",
                                                      VZQuoted(path)];
        VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"virtiofsd was not found.", reason, InstallAdvice, nil));
        return nil;
    }
    for (NSString *description in descriptions()) {
        NSString *path = program_of_description(description);
        if (path != nil)
            return [[self alloc] initWithPath:path];
    }
    for (NSString *path in @[ @"/usr/libexec/virtiofsd", @"/usr/lib/qemu/virtiofsd", @"/usr/lib/virtiofsd" ])
        if (is_program(path))
            return [[self alloc] initWithPath:path];
    VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"virtiofsd is not installed.",
                                      @"There is no virtiofsd in the places where distributions have it, and no description "
                                      @"in /usr/share/qemu/vhost-user names one.", InstallAdvice, nil));
    return nil;
}

/// Whether it is the one of QEMU, in C. The answer for the file that was asked last is kept.
- (BOOL)isOfQEMU {
    static NSString *last_file;
    static BOOL last_answer;
    struct stat status = {0};
    stat(_path.UTF8String, &status);
    NSString *file = [NSString stringWithFormat:@"%@ %llu %llu %lld.%09ld", _path, (unsigned long long)status.st_dev,
                                                (unsigned long long)status.st_ino, (long long)status.st_mtim.tv_sec,
                                                status.st_mtim.tv_nsec];
    @synchronized([QEMUFileServerProgram class]) {
        if ([file isEqualToString:last_file])
            return last_answer;
    }
    // Without privilege that of QEMU says nothing but in a namespace of its own.
    qemu_user_maps maps = QEMUMapsOfUser();
    qemu_share_mounts mounts = {.user_map = maps.user, .group_map = maps.group};
    NSString *version = QEMUVersionTextOfProgram(_path, qemu_make_share_mounts, &mounts) ?: @"";
    // "virtiofsd version 7.2.0 … the QEMU Project developers"; the other one: "virtiofsd 1.10.0".
    BOOL answer = [version rangeOfString:@"virtiofsd version "].location != NSNotFound;
    @synchronized([QEMUFileServerProgram class]) {
        last_file = version.length > 0 ? file : nil;
        last_answer = answer;
    }
    return answer;
}

- (NSArray<NSString *> *)argumentsForSocket:(int)descriptor {
    NSString *socket = [NSString stringWithFormat:@"--fd=%d", descriptor];
    // It is confined to the folder by chroot, in a mount namespace that was made for it. The limit is set already. With its
    // mounts a guest knows files of different file systems apart that have the same number.
    return [self isOfQEMU] ? @[
        socket, @"--rlimit-nofile=0", @"-o", @"source=" QEMU_SHARE_ROOT, @"-o", @"sandbox=chroot", @"-o", @"log_level=err",
        @"-o", @"announce_submounts"
    ]
                    : @[
        socket, @"--rlimit-nofile=0", @"--shared-dir=" QEMU_SHARE_ROOT, @"--sandbox=chroot", @"--log-level=error",
        @"--announce-submounts"
    ];
}

@end
