// SPDX-License-Identifier: Apache-2.0
#import "QEMUUser.h"
#import "QEMU/program/QEMUAccelerator.h"
#import "QEMU/program/QEMUProgram.h"
#import "configuration/VZConfiguration+Private.h"
#import "host/HostProgramFile.h"
#import "host/confinement/HostUser.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import <errno.h>
#import <fcntl.h>
#import <stdlib.h>
#import <sys/stat.h>
#import <unistd.h>

static const char kvm[] = "/dev/kvm";

static NSError *no_user(NSString *reason, NSString *_Nullable suggestion, int number) {
    return VZErrorWithReason(VZErrorNotSupported, @"QEMU does not run as a user of its own.", reason, suggestion,
                             number != 0 ? VZSystemCallError(number, nil) : nil);
}

static NSString *suggestion_of(int number, BOOL looksInto) {
    if (geteuid() != 0)
        return @"Nothing has to be done: QEMU has no more rights than the user who runs this program. Only root can "
               @"give it a user of its own.";
    if (number == EUSERS)
        return @"Give the container 65,536 users.";
    return looksInto ? @"In a container, allow the capabilities SETUID, SETGID, KILL and, for machines with a network "
                       @"card, SYS_PTRACE."
                     : @"In a container, allow the capabilities SETUID, SETGID and KILL.";
}

static NSError *error_of_process(BOOL looksInto) {
    const char *step = "";
    int number = host_user_error(looksInto, &step);
    if (number == 0)
        return nil;
    return no_user([NSString stringWithFormat:@"No process can be started as another user: %s.", step],
                   suggestion_of(number, looksInto), number);
}

/// Programs and libraries that nobody but root reaches, as in root's own folder.
static NSError *error_of_place(NSString *path) {
    return no_user([NSString stringWithFormat:@"%@ cannot be reached by a user without rights.", VZQuoted(path)],
                   @"Let others pass its folders and read it (chmod o+x, o+r), or use a QEMU that is installed for "
                   @"all users.",
                   EACCES);
}

static NSError *error_of_program(void) {
    NSError *error = nil;
    NSString *path = [QEMUProgram pathWithError:&error];
    if (path == nil)
        return error;
    char resolved[PATH_MAX], interpreter[PATH_MAX];
    if (realpath(VZBytesOfPath(path), resolved) == NULL || !host_program_is_native(resolved, interpreter))
        return no_user([NSString stringWithFormat:@"%@ is no program of this system's own kind: what a script executes "
                                                  @"is not known.",
                                                  VZQuoted(path)],
                       @"Name QEMU itself in the environment variable APPLEVZ_QEMU.", 0);
    if (!host_user_reaches(resolved, true))
        return error_of_place(VZPathWithBytes(resolved));
    if (interpreter[0] != '\0' && !host_user_reaches(interpreter, true))
        return error_of_place(VZPathWithBytes(interpreter));
    NSString *folders = VZPathInEnvironment("LD_LIBRARY_PATH");
    for (NSString *folder in [folders componentsSeparatedByString:@":"]) {
        struct stat status;
        BOOL isThere = [folder hasPrefix:@"/"] && stat(VZBytesOfPath(folder), &status) == 0;
        if (isThere && !host_user_reaches(VZBytesOfPath(folder), false))
            return error_of_place(folder);
    }
    return nil;
}

/// Which group has the device that QEMU opens by itself; 0 where all have it.
static NSError *error_of_device(gid_t *group) {
    struct stat status;
    *group = 0;
    if (QEMUAccelerator.kvmMissingReason != nil || stat(kvm, &status) != 0 || (status.st_mode & 06) == 06)
        return nil;
    *group = status.st_gid;
    if (status.st_gid != 0 && (status.st_mode & 060) == 060)
        return nil;
    return no_user([NSString stringWithFormat:@"%s is root's alone.", kvm],
                   @"Give it to a group, as systems do: `chgrp kvm /dev/kvm` and `chmod g+rw /dev/kvm`.", EACCES);
}

/// Whether QEMU makes connections that this process is to look at; and to servers' sockets, of which others own some.
static void look_for_connections(VZVirtualMachineConfiguration *configuration, BOOL *makesAny, BOOL *toServers) {
    *toServers = configuration.usbControllers.count > 0;
    for (VZStorageDeviceConfiguration *device in configuration.storageDevices)
        *toServers |= [device.attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]];
    *makesAny = *toServers || configuration.networkDevices.count > 0;
}

static NSError *error_of_configuration(VZVirtualMachineConfiguration *configuration, BOOL *looksInto) {
    AppleVZConfinement waived = configuration.applevzWaivedConfinement;
    if ((waived & AppleVZConfinementUser) != 0)
        return no_user(@"That it does is waived.", @"Do not waive that.", 0);
    if ((waived & AppleVZConfinementPrivileges) != 0)
        return no_user(@"That it has no rights of root's is waived.", @"Do not waive that.", 0);
    if (configuration.audioDevices.count > 0)
        return no_user(@"The machine plays sound, which the sound server of this user takes from this user alone.",
                       @"Make it without sound.", 0);
    BOOL makesAny, toServers;
    look_for_connections(configuration, &makesAny, &toServers);
    BOOL isSupervised = makesAny && (waived & (AppleVZConfinementSystemCalls | AppleVZConfinementHostAddresses)) == 0 &&
                        [VZNATNetworkDeviceAttachment applevzHostIsolationError] == nil;
    *looksInto |= isSupervised;
    if (toServers && !isSupervised)
        return no_user(@"The machine has a disk of a server, or a USB controller, and QEMU connects to servers by "
                       @"itself.",
                       @"Do not waive that this process does.", 0);
    return nil;
}

#pragma mark Files

static host_access access_of(HostDescriptor *descriptor, struct stat *status, BOOL writing) {
    int flags = fcntl(descriptor.number, F_GETFL);
    if (flags < 0 || (flags & O_PATH) != 0 || fstat(descriptor.number, status) != 0)
        return 0;
    BOOL isDevice = S_ISBLK(status->st_mode) || S_ISCHR(status->st_mode);
    if (!isDevice && !S_ISREG(status->st_mode))
        return 0;
    int mode = flags & O_ACCMODE;
    return (mode != O_WRONLY ? HOST_READ : 0) | (mode != O_RDONLY || writing ? HOST_WRITE : 0) |
           (isDevice ? HOST_CONTROL : 0);
}

host_access QEMUAccessOfDescriptor(HostDescriptor *descriptor, BOOL writing) {
    struct stat status;
    return access_of(descriptor, &status, writing);
}

BOOL QEMUNeedsRights(HostDescriptor *descriptor, QEMUUser *user, BOOL writing) {
    struct stat status;
    host_access access = access_of(descriptor, &status, writing);
    mode_t wanted = (access & HOST_READ ? 04 : 0) | (access & HOST_WRITE ? 02 : 0);
    if (wanted == 0 || descriptor.isMemory)
        return NO;
    mode_t mode = status.st_mode;
    if (user == nil)
        mode = status.st_uid == geteuid() ? mode >> 6 : status.st_gid == getegid() ? mode >> 3 : mode;
    return (mode & wanted) != wanted;
}

@implementation QEMUUser

- (instancetype)initWithNumber:(uid_t)number deviceGroup:(gid_t)group {
    self = [super init];
    if (self != nil) {
        _number = number;
        _deviceGroup = group;
    }
    return self;
}

+ (NSError *)missingError {
    gid_t group;
    return error_of_process(YES) ?: error_of_program() ?: error_of_device(&group);
}

+ (QEMUUser *)userForConfiguration:(VZVirtualMachineConfiguration *)configuration
                     privateMemory:(BOOL)hasPrivateMemory
                            reason:(NSError **)reason {
    BOOL looksInto = hasPrivateMemory;
    gid_t group = 0;
    NSError *error = error_of_configuration(configuration, &looksInto) ?: error_of_process(looksInto);
    error = error ?: error_of_program() ?: error_of_device(&group);
    uid_t number = error == nil ? host_user_choose() : 0;
    if (error == nil && number == 0)
        error = no_user(
            [NSString stringWithFormat:@"No user was found whom no process has: %@.", VZSystemCallErrorText(errno)],
            nil, errno);
    if (error == nil)
        return [[QEMUUser alloc] initWithNumber:number deviceGroup:group];
    *reason = error;
    return nil;
}

@end
