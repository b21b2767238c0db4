// SPDX-License-Identifier: Apache-2.0
#import "QEMUConfinement.h"
#import "QEMU/command_line/QEMUBlockNode.h"
#import "QEMUUser.h"
#import "configuration/VZConfiguration+Private.h"
#import "host/HostProgramFile.h"
#import "host/HostSupervision.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import <errno.h>
#import <fcntl.h>
#import <linux/capability.h>
#import <stdlib.h>
#import <sys/socket.h>
#import <unistd.h>

enum {
    // More than a program's usual limit (1024), far less than what a guest's connections could take: each costs QEMU a
    // descriptor and a quarter of a mebibyte.
    DESCRIPTORS = 2048,
    // With so many it makes no more sockets, where that is supervised: it still opens what its host wants of it.
    DESCRIPTORS_WITH_SOCKETS = 512,
    // A filter has room for them.
    KEPT_SOCKETS = 100,
};

typedef struct {
    const char *path;
    host_access access;
} place;

// Programs and secrets are in none of them. Where each program has a folder of its own, a program is in two of them,
// the first of which executes the second.
static const place libraries[] = {
    {"/lib", HOST_READ},
    {"/lib32", HOST_READ},
    {"/lib64", HOST_READ},
    {"/usr/lib", HOST_READ},
    {"/usr/lib32", HOST_READ},
    {"/usr/lib64", HOST_READ},
    {"/usr/libexec", HOST_READ},
    {"/usr/share", HOST_READ},
    {"/usr/local/lib", HOST_READ},
    {"/usr/local/lib64", HOST_READ},
    {"/usr/local/share", HOST_READ},
    {"/nix/store", HOST_READ | HOST_EXECUTE},
    {"/gnu/store", HOST_READ | HOST_EXECUTE},
    {"/etc/ld.so.cache", HOST_READ},
    {"/etc/ld.so.preload", HOST_READ},
    {"/etc/localtime", HOST_READ},
    {"/etc/crypto-policies", HOST_READ},
    {"/etc/gnutls", HOST_READ},
    {"/sys/devices/system", HOST_READ},
    {"/sys/kernel/mm/transparent_hugepage", HOST_READ},
    {"/proc/filesystems", HOST_READ},
    {"/proc/meminfo", HOST_READ},
    {"/proc/cpuinfo", HOST_READ},
    {"/dev/null", HOST_READ | HOST_WRITE},
    {"/dev/zero", HOST_READ | HOST_WRITE},
    {"/dev/urandom", HOST_READ},
    {"/dev/random", HOST_READ},
    {"/dev/kvm", HOST_READ | HOST_WRITE | HOST_CONTROL},
};

// Whoever has no network has no names to look up. The folders are those that the first file is a link into.
static const place names[] = {
    {"/etc/resolv.conf", HOST_READ},    {"/etc/hosts", HOST_READ},           {"/etc/host.conf", HOST_READ},
    {"/etc/nsswitch.conf", HOST_READ},  {"/etc/gai.conf", HOST_READ},        {"/etc/services", HOST_READ},
    {"/run/resolvconf", HOST_READ},     {"/run/systemd/resolve", HOST_READ}, {"/run/connman", HOST_READ},
    {"/run/NetworkManager", HOST_READ}, {"/var/run/netconfig", HOST_READ}};

static const place sound[] = {
    {"/dev/snd", HOST_READ | HOST_WRITE | HOST_CONTROL},
    {"/dev/shm", HOST_READ | HOST_WRITE},
    {"/etc/pulse", HOST_READ},
    {"/etc/alsa", HOST_READ},
    {"/etc/asound.conf", HOST_READ},
    {"/etc/pipewire", HOST_READ},
    {"/etc/machine-id", HOST_READ},
};

// Of a user, beneath his folder.
static const char *const sound_of_user[] = {".config/pulse", ".pulse-cookie", ".asoundrc", ".config/pipewire"};

static NSError *missing(NSString *reason, NSString *_Nullable suggestion, int number) {
    return VZErrorWithReason(VZErrorNotSupported, @"Virtual machines are not kept from all of this host.", reason,
                             suggestion, number != 0 ? VZSystemCallError(number, nil) : nil);
}

static NSError *landlock_missing(void) {
    int number = host_landlock_error();
    if (number == 0)
        return nil;
    return missing(number == EOPNOTSUPP ? @"The kernel was started without Landlock."
                                        : @"The kernel has no Landlock, which says what files a program opens.",
                   number == EOPNOTSUPP
                       ? @"Add landlock to the list of `lsm=` on this host's kernel command line, or leave that out."
                       : @"Use Linux 5.13 or later, with CONFIG_SECURITY_LANDLOCK.",
                   number);
}

@implementation QEMUConfinement {
    HostDescriptor *_rules;
    host_filter _filter;
    struct host_confinement _native;
    BOOL _isKnown;
    BOOL _isGivenMemory; // that of a saved state, which it opens for writing and is given for reading
    unsigned int _kept[KEPT_SOCKETS];
    NSUInteger _descriptorLimit; // for sockets
}

+ (NSError *)missingError {
    return landlock_missing() ?: [VZNATNetworkDeviceAttachment applevzHostIsolationError];
}

- (instancetype)initWithProgram:(NSString *)path commandLine:(QEMUCommandLine *)commandLine error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    // Where it has its libraries is told by where it is, not by a link to it.
    char interpreter[PATH_MAX], resolved[PATH_MAX];
    if (realpath(VZBytesOfPath(path), resolved) != NULL)
        path = VZPathWithBytes(resolved);
    _isKnown = host_program_is_native(VZBytesOfPath(path), interpreter);
    AppleVZConfinement waived = commandLine.waivedConfinement;
    if (_isKnown && ![self confineTo:commandLine program:path interpreter:interpreter error:error])
        return nil;
    AppleVZConfinement lacking = commandLine.requiredConfinement & ~_confinement;
    if (lacking == 0)
        return self;
    VZRefuse(error, [self errorOfLacking:lacking waived:waived program:path commandLine:commandLine]);
    return nil;
}

- (void)dealloc {
    free(_filter.instructions);
}

- (const struct host_confinement *)native {
    return _isKnown ? &_native : NULL;
}

- (BOOL)confineTo:(QEMUCommandLine *)commandLine
          program:(NSString *)path
      interpreter:(const char *)interpreter
            error:(NSError **)error {
    AppleVZConfinement waived = commandLine.waivedConfinement;
    BOOL keepsRights = (waived & AppleVZConfinementPrivileges) != 0;
    BOOL hasInternet = commandLine.makesInternetSockets || (waived & AppleVZConfinementSockets) != 0;
    _native = (struct host_confinement){
        .rules = -1,
        .kept_capabilities = keepsRights ? UINT64_MAX : 0,
        .descriptors = DESCRIPTORS + commandLine.descriptors.count,
    };
    _isGivenMemory = commandLine.privateMemory != nil && QEMUGivesMemory(waived);
    for (HostDescriptor *descriptor in commandLine.reopenedDescriptors)
        [self keepRightsFor:descriptor commandLine:commandLine];
    if (commandLine.user != nil) {
        _native.user = commandLine.user.number;
        _native.group = commandLine.user.deviceGroup;
        _confinement |= AppleVZConfinementUser;
    }
    if ((waived & AppleVZConfinementFiles) == 0 && host_landlock_version() > 0) {
        int number = [self makeRules:commandLine program:path interpreter:interpreter sockets:hasInternet];
        if (number != 0)
            return VZRefuse(error, VZErrorWithReason(VZErrorInternal, @"The virtual machine could not be confined.",
                                                     [NSString stringWithFormat:@"The rules for its files: %@.",
                                                                                VZSystemCallErrorText(number)],
                                                     nil, VZSystemCallError(number, nil)));
        _native.rules = _rules.number;
        _confinement |= AppleVZConfinementFiles;
    }
    _descriptorLimit = DESCRIPTORS_WITH_SOCKETS + commandLine.descriptors.count;
    if ((waived & AppleVZConfinementSystemCalls) == 0) {
        // What was waived for is not known.
        BOOL isSupervised = commandLine.makesInternetSockets && (waived & AppleVZConfinementHostAddresses) == 0 &&
                            [VZNATNetworkDeviceAttachment applevzHostIsolationError] == nil;
        _filter = host_filter_make((host_filter_options){
            .is_supervised = isSupervised,
            .asks_for_openings = _isGivenMemory,
            .any_messages = commandLine.playsSound,
            .kept = _kept,
            .kept_count = isSupervised ? [self keepSocketsOf:commandLine] : 0,
            .internet_sockets = hasInternet,
            .local_sockets = commandLine.makesLocalSockets || (waived & AppleVZConfinementSockets) != 0,
            .shared_memory = commandLine.playsSound,
            .thread_signals = _rules != nil && host_landlock_version() >= 6,
        });
        if (_filter.instructions == NULL)
            abort();
        _native.filter = &_filter;
        _native.listener_socket = QEMUControlDescriptor;
        _confinement |= AppleVZConfinementSystemCalls;
        if (!hasInternet)
            _confinement |= AppleVZConfinementSockets | AppleVZConfinementHostAddresses;
        else if (isSupervised && !commandLine.reachesHost && !commandLine.playsSound)
            _confinement |= AppleVZConfinementHostAddresses;
    }
    if (!keepsRights)
        _confinement |= AppleVZConfinementPrivileges;
    return YES;
}

/// One that only reads what it opens anew needs less.
- (void)keepRightsFor:(HostDescriptor *)descriptor commandLine:(QEMUCommandLine *)commandLine {
    BOOL isPrivateMemory = descriptor == commandLine.privateMemory;
    if ((isPrivateMemory && _isGivenMemory) || !QEMUNeedsRights(descriptor, commandLine.user, isPrivateMemory))
        return;
    BOOL writes = (QEMUAccessOfDescriptor(descriptor, isPrivateMemory) & HOST_WRITE) != 0;
    _native.kept_capabilities |= UINT64_C(1) << (writes ? CAP_DAC_OVERRIDE : CAP_DAC_READ_SEARCH);
}

#pragma mark Connections

/// QEMU speaks by them with this process and its own: stream sockets, which are connected for good, so that an address
/// that it gives with what it sends is no other one's.
- (size_t)keepSocketsOf:(QEMUCommandLine *)commandLine {
    size_t count = 0;
    unsigned int number = QEMUFirstConfigurationDescriptor;
    _kept[count++] = QEMUControlDescriptor;
    for (HostDescriptor *descriptor in commandLine.descriptors) {
        int domain = 0, type = 0;
        socklen_t length = sizeof domain;
        if (count < KEPT_SOCKETS && getsockopt(descriptor.number, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
            domain == AF_UNIX && getsockopt(descriptor.number, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
            type == SOCK_STREAM)
            _kept[count++] = number;
        number++;
    }
    return count;
}

- (HostSupervisor *)superviseProcess:(int)process
                              socket:(int)socket
                         commandLine:(QEMUCommandLine *)commandLine
                               error:(NSError **)error {
    if (!_filter.has_listener)
        return nil;
    HostSupervisor *supervisor = [[HostSupervisor alloc] initWithSocket:socket
                                                                process:process
                                                        descriptorLimit:_descriptorLimit
                                                                  error:error];
    NSUInteger index = 0;
    for (VZNetworkDeviceAttachment *attachment in commandLine.networkAttachments)
        QEMUReachOfNetwork(supervisor, index++, attachment);
    for (QEMUDiskServer *server in commandLine.diskServers)
        QEMUAllowDiskServer(supervisor, server);
    if (commandLine.playsSound)
        [supervisor allowLocalSockets];
    HostDescriptor *memory = _isGivenMemory ? [commandLine.privateMemory reopenedWithFlags:O_RDONLY error:error] : nil;
    if (memory != nil)
        [supervisor giveDescriptor:memory forPath:commandLine.privateMemoryPath];
    [supervisor begin];
    return memory != nil || !_isGivenMemory ? supervisor : nil;
}

BOOL QEMUGivesMemory(AppleVZConfinement waived) {
    return (waived & AppleVZConfinementSystemCalls) == 0 &&
           [VZNATNetworkDeviceAttachment applevzHostIsolationError] == nil;
}

void QEMUReachOfNetwork(HostSupervisor *supervisor, NSUInteger index, VZNetworkDeviceAttachment *attachment) {
    BOOL isNAT = [attachment isKindOfClass:[VZNATNetworkDeviceAttachment class]];
    VZNATNetworkDeviceAttachment *network = isNAT ? (VZNATNetworkDeviceAttachment *)attachment : nil;
    [supervisor setReachesInternet:network.applevzHasInternet host:network.applevzReachesHost ofNetwork:index];
}

void QEMUAllowDiskServer(HostSupervisor *supervisor, QEMUDiskServer *server) {
    if (server.path != nil)
        [supervisor allowServerAtPath:server.path inFolder:server.folder name:server.name];
    else
        [supervisor allowServerAtPort:server.port];
}

#pragma mark Files

/// 0, or an errno.
- (int)makeRules:(QEMUCommandLine *)commandLine
         program:(NSString *)path
     interpreter:(const char *)interpreter
         sockets:(BOOL)sockets {
    int rules = host_landlock_rules(sockets);
    if (rules < 0)
        return errno;
    _rules = [[HostDescriptor alloc] initWithDescriptor:rules];
    int error = [self allow:libraries count:sizeof libraries / sizeof *libraries];
    error = error ?: [self allowProgram:path interpreter:interpreter];
    if (error == 0 && commandLine.makesInternetSockets)
        error = [self allow:names count:sizeof names / sizeof *names] ?: [self allowConfiguration:commandLine];
    if (error == 0 && commandLine.playsSound)
        error = [self allow:sound count:sizeof sound / sizeof *sound] ?: [self allowSoundOfUser];
    for (HostDescriptor *descriptor in commandLine.descriptors)
        error = error
                    ?: [self allowDescriptor:descriptor
                                     writing:descriptor == commandLine.privateMemory && !_isGivenMemory];
    return error;
}

- (int)allow:(const place *)places count:(size_t)count {
    for (size_t i = 0; i < count; i++) {
        int error = host_landlock_allow_path(_rules.number, places[i].path, places[i].access);
        if (error != 0)
            return error;
    }
    return 0;
}

- (int)allowFolder:(NSString *)path access:(host_access)access {
    if (![path hasPrefix:@"/"] || [path isEqualToString:@"/"])
        return 0;
    return host_landlock_allow_path(_rules.number, VZBytesOfPath(path), access);
}

/// The program, what loads it, and where a QEMU that was installed anywhere has its libraries and firmware.
- (int)allowProgram:(NSString *)path interpreter:(const char *)interpreter {
    int error = host_landlock_allow_path(_rules.number, VZBytesOfPath(path), HOST_READ | HOST_EXECUTE);
    if (interpreter[0] != '\0')
        error = error ?: host_landlock_allow_path(_rules.number, interpreter, HOST_READ | HOST_EXECUTE);
    NSString *folder = VZFolderOfPath(path, NULL);
    for (NSString *name in @[ @"../lib", @"../lib64", @"../libexec", @"../share", @"lib", @"share" ])
        error = error ?: [self allowFolder:[folder stringByAppendingString:name] access:HOST_READ];
    NSString *folders = VZPathInEnvironment("LD_LIBRARY_PATH");
    for (NSString *one in [folders componentsSeparatedByString:@":"])
        error = error ?: [self allowFolder:one access:HOST_READ];
    return error;
}

/// The file with the servers for names may be replaced by another one at any time, which no rule for the file covers.
/// Without rights of its own QEMU reads there what everybody may; root owns what nobody else may.
- (int)allowConfiguration:(QEMUCommandLine *)commandLine {
    BOOL hasRights = commandLine.user != nil ? _native.kept_capabilities != 0 : geteuid() == 0;
    return !hasRights ? host_landlock_allow_path(_rules.number, "/etc", HOST_READ) : 0;
}

- (int)allowSoundOfUser {
    int error = 0;
    NSString *home = VZPathInEnvironment("HOME");
    for (size_t i = 0; home != nil && i < sizeof sound_of_user / sizeof *sound_of_user; i++)
        error = error
                    ?: [self allowFolder:[home stringByAppendingFormat:@"/%s", sound_of_user[i]]
                                  access:HOST_READ | HOST_WRITE];
    NSString *runtime = VZPathInEnvironment("XDG_RUNTIME_DIR");
    return error ?: [self allowFolder:runtime ?: @"" access:HOST_READ | HOST_WRITE];
}

/// What QEMU may open anew it opens as it was opened here.
- (int)allowDescriptor:(HostDescriptor *)descriptor writing:(BOOL)writing {
    host_access access = QEMUAccessOfDescriptor(descriptor, writing);
    return access != 0 ? host_landlock_allow(_rules.number, descriptor.number, access) : 0;
}

#pragma mark What is lacking

- (NSError *)errorOfReachedHost:(AppleVZConfinement)waived {
    if ((waived & AppleVZConfinementSystemCalls) != 0)
        return missing(@"Where it connects to is a matter of the filter of its system calls, which is waived.",
                       @"Do not waive that.", 0);
    if ((waived & AppleVZConfinementSockets) != 0)
        return missing(@"That it makes sockets is waived, and nothing is known of what for.", @"Do not waive that.", 0);
    return [VZNATNetworkDeviceAttachment applevzHostIsolationError]
               ?: missing(@"The machine has a network with access to this host, or plays sound.",
                          @"Make it without, or do not require that it reaches no address of this host's.", 0);
}

- (NSError *)errorOfLacking:(AppleVZConfinement)lacking
                     waived:(AppleVZConfinement)waived
                    program:(NSString *)path
                commandLine:(QEMUCommandLine *)commandLine {
    if ((lacking & waived) != 0)
        return missing(@"The same part of the confinement is required and waived.", @"Leave one of the two out.", 0);
    if (!_isKnown)
        return missing([NSString stringWithFormat:@"%@ is no program of this system's own kind: what a script "
                                                  @"executes is not known.",
                                                  VZQuoted(path)],
                       @"Name QEMU itself in the environment variable APPLEVZ_QEMU.", 0);
    if ((lacking & AppleVZConfinementUser) != 0)
        return commandLine.userError;
    NSError *landlock = (lacking & AppleVZConfinementFiles) != 0 ? landlock_missing() : nil;
    if (landlock != nil)
        return landlock;
    if (lacking == AppleVZConfinementHostAddresses)
        return [self errorOfReachedHost:waived];
    return missing(@"The machine has a network card, a disk of a server or a USB controller, for which QEMU makes "
                   @"sockets.",
                   @"Make it without them, or do not require that it makes none.", 0);
}

@end
