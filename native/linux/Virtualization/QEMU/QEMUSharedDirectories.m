// SPDX-License-Identifier: Apache-2.0
#import "QEMUSharedDirectories.h"
#import "../VZConfiguration+Private.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUFileServerProgram.h"
#import "QEMUSpawn.h"
#import <errno.h>
#import <stdio.h>
#import <stdlib.h>
#import <unistd.h>

NSDictionary<NSString *, VZSharedDirectory *> *QEMUDirectoriesOfShare(VZDirectoryShare *share) {
    if ([share isKindOfClass:[VZSingleDirectoryShare class]])
        return @{@"" : [(VZSingleDirectoryShare *)share directory]};
    return share != nil ? [(VZMultipleDirectoryShare *)share directories] : @{};
}

NSString *QEMUPropertyOfDirectory(NSString *name) {
    return name.length == 0 ? @"directory" : [NSString stringWithFormat:@"directories[%@]", VZQuoted(name)];
}

qemu_shared_directory *QEMUNativeDirectories(NSDictionary<NSString *, VZSharedDirectory *> *directories,
                                             NSArray<NSString *> **names) {
    *names = [directories.allKeys sortedArrayUsingSelector:@selector(compare:)];
    qemu_shared_directory *result = calloc(directories.count + 1, sizeof *result);
    if (result == NULL)
        abort();
    for (NSUInteger i = 0; i < directories.count; i++) {
        NSString *name = (*names)[i];
        VZSharedDirectory *directory = directories[name];
        result[i] = (qemu_shared_directory){.path = directory.path.UTF8String,
                                            .name = name.length == 0 ? NULL : name.UTF8String,
                                            .read_only = directory.isReadOnly};
    }
    return result;
}

qemu_user_maps QEMUMapsOfUser(void) {
    qemu_user_maps maps;
    snprintf(maps.user, sizeof maps.user, "0 %u 1", (unsigned)geteuid());
    snprintf(maps.group, sizeof maps.group, "0 %u 1", (unsigned)getegid());
    return maps;
}

NSError *QEMUDirectorySharingError(void) {
    NSError *error = nil;
    if ([QEMUFileServerProgram programWithError:&error] == nil)
        return error;
    qemu_user_maps maps = QEMUMapsOfUser();
    qemu_share_mounts mounts = {.user_map = maps.user, .group_map = maps.group};
    const char *step = "";
    int number = qemu_call_in_child(qemu_make_share_mounts, &mounts, &step);
    if (number == 0)
        return nil;
    NSString *reason = [NSString stringWithFormat:@"This process cannot make the mounts that a guest is to be served: %@ (%s).",
                                                  VZSystemCallErrorText(number), step];
    return VZErrorWithReason(VZErrorNotSupported, @"Directories cannot be shared with guests on this host.", reason,
                             number == ENOSYS
                                 ? @"Use Linux 5.12 or later."
                                 : @"Run as root (in a container: with the capability SYS_ADMIN), or let users have user "
                                   @"namespaces (the settings user.max_user_namespaces, kernel.unprivileged_userns_clone and "
                                   @"kernel.apparmor_restrict_unprivileged_userns).",
                             VZSystemCallError(number, nil));
}
