// SPDX-License-Identifier: Apache-2.0
#import "QEMUFileServerProgram.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "QEMUDescription.h"
#import "QEMUProgram.h"
#import "QEMUVersion.h"
#import "host/HostShareMounts.h"
#import "host/HostSpawn.h"
#import <errno.h>
#import <json_values.h>

// It is asked while a machine starts.
enum { SERVER_VERSION_SECONDS = 3 };

static NSString *const InstallServerAdvice =
    @"Install virtiofsd (Debian 12: the package qemu-system-common; later ones and Ubuntu: "
    @"virtiofsd), or name the program in the environment variable APPLEVZ_VIRTIOFSD.";

/// The program that a description names, if it is one for file systems (QEMU's docs/interop/vhost-user.json).
static NSString *program_of_description(NSString *path) {
    NSDictionary *description = QEMUDescriptionInFile(path);
    NSString *program = applevz_json_text(description, @"binary");
    BOOL isServer = [applevz_json_text(description, @"type") isEqualToString:@"fs"];
    return isServer && QEMUIsProgram(program) ? program : nil;
}

static NSArray<NSString *> *descriptions(void) {
    return QEMUDescriptionsInFolders(
        @[ @"/etc/qemu/vhost-user", @"/usr/local/share/qemu/vhost-user", @"/usr/share/qemu/vhost-user" ]);
}

@implementation QEMUFileServerProgram

- (instancetype)initWithPath:(NSString *)path {
    self = [super init];
    if (self != nil)
        _path = path;
    return self;
}

+ (instancetype)programWithError:(NSError **)error {
    NSString *path = VZPathInEnvironment("APPLEVZ_VIRTIOFSD");
    if (path != nil) {
        if (QEMUIsProgram(path))
            return [[self alloc] initWithPath:path];
        NSString *reason = [NSString
            stringWithFormat:@"APPLEVZ_VIRTIOFSD is %@, which is not the absolute path of a program.", VZQuoted(path)];
        VZRefuse(error,
                 VZErrorWithReason(VZErrorNotSupported, @"virtiofsd was not found.", reason, InstallServerAdvice, nil));
        return nil;
    }
    for (NSString *description in descriptions()) {
        path = program_of_description(description);
        if (path != nil)
            return [[self alloc] initWithPath:path];
    }
    for (NSString *known in @[ @"/usr/libexec/virtiofsd", @"/usr/lib/qemu/virtiofsd", @"/usr/lib/virtiofsd" ])
        if (QEMUIsProgram(known))
            return [[self alloc] initWithPath:known];
    VZRefuse(error,
             VZErrorWithReason(VZErrorNotSupported, @"virtiofsd is not installed.",
                               @"There is no virtiofsd in the places where distributions have it, and no description "
                               @"in /usr/share/qemu/vhost-user names one.",
                               InstallServerAdvice, nil));
    return nil;
}

/// Whether it is the one of QEMU, in C. The answer for the file that was asked last is kept.
- (BOOL)isOfQEMU {
    static NSString *last_file;
    static BOOL last_answer;
    NSString *file = [QEMUProgram identityOfPath:_path];
    @synchronized([QEMUFileServerProgram class]) {
        if ([file isEqualToString:last_file])
            return last_answer;
    }
    // Without privilege that of QEMU says nothing but in a namespace of its own.
    host_user_maps maps = host_maps_of_user();
    host_share_mounts mounts = {.user_map = maps.user, .group_map = maps.group};
    NSString *version =
        QEMUVersionTextOfProgram(_path, SERVER_VERSION_SECONDS, host_make_share_mounts, &mounts, NULL) ?: @"";
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
    // It is confined to the folder by chroot, in a mount namespace that was made for it. The limit is set already. With
    // its mounts a guest knows files of different file systems apart that have the same number. By file handles, which
    // are the default from 1.14 on, it would look for the mounts by their names in mountinfo, and not find those that
    // are escaped there.
    return [self isOfQEMU] ? @[
        socket, @"--rlimit-nofile=0", @"-o", @"source=" HOST_SHARE_ROOT, @"-o", @"sandbox=chroot", @"-o", @"log_level=err",
        @"-o", @"announce_submounts"
    ]
                    : @[
        socket, @"--rlimit-nofile=0", @"--shared-dir=" HOST_SHARE_ROOT, @"--sandbox=chroot", @"--log-level=error",
        @"--announce-submounts", @"--inode-file-handles=never"
    ];
}

@end

NSError *QEMUDirectorySharingError(void) {
    NSError *error = nil;
    if ([QEMUFileServerProgram programWithError:&error] == nil)
        return error;
    host_user_maps maps = host_maps_of_user();
    host_share_mounts mounts = {.user_map = maps.user, .group_map = maps.group};
    const char *step = "";
    int number = host_call_in_child(host_make_share_mounts, &mounts, &step);
    if (number == 0)
        return nil;
    NSString *reason =
        [NSString stringWithFormat:@"This process cannot make the mounts that a guest is to be served: %@ (%s).",
                                   VZSystemCallErrorText(number), step];
    return VZErrorWithReason(
        VZErrorNotSupported, @"Directories cannot be shared with guests on this host.", reason,
        number == ENOSYS ? @"Use Linux 5.12 or later."
                         : @"Run as root (in a container: with the capability SYS_ADMIN), or let users have user "
                           @"namespaces (the settings user.max_user_namespaces, kernel.unprivileged_userns_clone and "
                           @"kernel.apparmor_restrict_unprivileged_userns).",
        VZSystemCallError(number, nil));
}
