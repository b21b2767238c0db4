// SPDX-License-Identifier: Apache-2.0
#import "QEMUCommandLine+Private.h"
#import "QEMUBlockNode.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "support/VZNewFile+Private.h"
#import "QEMU/program/QEMUAccelerator.h"
#import "QEMU/process/QEMUConfinement.h"
#import "QEMU/process/QEMUEnd.h"
#import "QEMU/process/QEMUUser.h"
#import "QEMU/saved_states/QEMUMigration.h"
#import "QEMU/saved_states/QEMUSavedState.h"
#import "QEMU/program/QEMUSound.h"
#import "QEMU/program/QEMUTranslation.h"
#import <fcntl.h>
#import <sys/stat.h>

@implementation QEMUPreparation

- (instancetype)initWithCommand:(NSString *)command arguments:(NSDictionary *)arguments property:(NSString *)property {
    self = [super init];
    if (self != nil) {
        _command = command;
        _arguments = arguments;
        _property = property;
    }
    return self;
}

@end

@implementation QEMUCommandLine

- (instancetype)initWithConfiguration:(VZVirtualMachineConfiguration *)configuration
                               kernel:(QEMUExpandedKernel *)kernel
                           savedState:(QEMUSavedState *)savedState
                                error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _arguments = [NSMutableArray array];
    _descriptors = [NSMutableArray array];
    _reopenedDescriptors = [NSMutableArray array];
    _preparations = [NSMutableArray array];
    _networkCards = [NSMutableArray array];
    _networkInterfaces = [NSMutableDictionary dictionary];
    _fileServers = [NSMutableArray array];
    _platformFields = [NSMutableArray array];
    _disks = [NSMutableArray array];
    _carriedDisks = [NSMutableArray array];
    _replacements = [NSMutableArray array];
    _savedState = savedState;
    _disksOfUSBControllers = [NSMutableArray array];
    _isFresh = savedState == nil;
    // A card may be given another network later, and a disk on the USB may be any.
    _makesInternetSockets = configuration.networkDevices.count > 0 || configuration.usbControllers.count > 0;
    _makesLocalSockets = configuration.usbControllers.count > 0;
    _diskServers = [NSMutableArray array];
    NSMutableArray<VZNetworkDeviceAttachment *> *attachments = [NSMutableArray array];
    for (VZNetworkDeviceConfiguration *device in configuration.networkDevices) {
        VZNetworkDeviceAttachment *attachment = device.attachment;
        [attachments addObject:attachment];
        if ([attachment isKindOfClass:[VZNATNetworkDeviceAttachment class]])
            _reachesHost |= [(VZNATNetworkDeviceAttachment *)attachment applevzReachesHost];
    }
    _networkAttachments = attachments;
    _requiredConfinement = configuration.applevzRequiredConfinement;
    _waivedConfinement = configuration.applevzWaivedConfinement;
    _limits = configuration.applevzResourceLimits;
    _controlGroupPath = configuration.controlGroupPath;
    NSError *reason = nil;
    _user = [QEMUUser userForConfiguration:configuration
                             privateMemory:savedState.hasMemory && savedState.isMapped
                                    reason:&reason];
    _userError = reason;
    if (![self addBootLoader:configuration kernel:kernel error:error])
        return nil;
    _characterBackends = [NSMutableArray array];
    _consolePorts = [NSMutableDictionary dictionary];
    [self addMachine:configuration];
    [self addBootLoaderFields:configuration kernel:kernel];
    if (![self addMemory:configuration savedState:savedState error:error])
        return nil;
    if (![self addEarlyConsole:configuration.bootLoader error:error])
        return nil;
    // Before the disks, also those that come later.
    NSDictionary *group = QEMUThrottleGroup(_limits);
    if (group != nil)
        [self add:@"-object" value:QEMUOptionOfObject(group)];
    // In this order, each kind in the order of the configuration: it is the order in which the guest finds them.
    if (![self addSerialPorts:configuration.serialPorts error:error] ||
        ![self addConsoleDevices:configuration.consoleDevices waiting:savedState != nil error:error] ||
        ![self addStorageDevices:configuration.storageDevices error:error] ||
        ![self addNetworkDevices:configuration.networkDevices error:error] ||
        ![self addDirectorySharingDevices:configuration.directorySharingDevices error:error])
        return nil;
    [self addEntropyDevices:configuration.entropyDevices];
    [self addAudioDevices:configuration.audioDevices];
    [self addMemoryBalloonDevices:configuration.memoryBalloonDevices];
    if (![self addGraphicsDevices:configuration.graphicsDevices error:error])
        return nil;
    [self addInputDevices:configuration];
    if (![self addUSBControllers:configuration.usbControllers error:error])
        return nil;
    if (![self addSocketDevices:configuration.socketDevices error:error] || ![self addSavedState:savedState
                                                                                           error:error])
        return nil;
    _savedState = nil;
    return self;
}

- (BOOL)replacesImages {
    return _replacements.count > 0;
}

- (BOOL)replaceImagesWithError:(NSError **)error {
    for (VZNewFile *file in _replacements) {
        int failure = [file replace];
        if (failure != 0)
            return VZRefuse(error, QEMURestoreError([NSString stringWithFormat:@"A disk cannot be put back: %@.",
                                                                               VZSystemCallErrorText(failure)],
                                                    nil, VZSystemCallError(failure, nil)));
    }
    [_replacements removeAllObjects];
    return YES;
}

- (void)leaveCharacterBackends {
    for (QEMUCharacterBackend *backend in _characterBackends)
        [backend leave];
}

- (void)add:(NSString *)option value:(NSString *)value {
    [_arguments addObject:option];
    [_arguments addObject:value];
}

NSString *QEMUOptionOfObject(NSDictionary *object) {
    NSData *data = [NSJSONSerialization dataWithJSONObject:object options:0 error:NULL];
    return [[NSString alloc] initWithData:data encoding:NSUTF8StringEncoding];
}

#pragma mark The machine

- (void)addMachine:(VZVirtualMachineConfiguration *)configuration {
    [_arguments addObjectsFromArray:@[ @"-nodefaults", @"-no-user-config", @"-display", @"none", @"-S" ]];
    // On microvm acpi brings the power button. The kernel finds its devices by it, not by words on its command line.
    NSString *machine =
        _microvm ? @"microvm,acpi=on,rtc=on,isa-serial=off,auto-kernel-cmdline=off" : @"q35,vmport=off,graphics=off";
    // What is sent to a keyboard is for the one on the USB: QEMU would give it to that of the PC until the guest uses
    // the other.
    if (configuration.keyboards.count + configuration.pointingDevices.count > 0)
        machine = [machine stringByAppendingString:@",i8042=off"];
    BOOL accelerated = QEMUAccelerator.kvmMissingReason == nil;
    // No firmware of a microvm programs the old interrupt controller, whose first interrupt, where it comes before the
    // kernel has turned it off, is then vector 0: a division's error, at which the kernel stops. Every second boot may,
    // under QEMU's emulation. The timer reaches the kernel by the I/O APIC.
    if (_microvm && !accelerated)
        machine = [machine stringByAppendingString:@",pic=off"];
    [self add:@"-machine" value:[machine stringByAppendingString:@",memory-backend=memory,dump-guest-core=off"]];
    if (_hasFirmware)
        [self add:@"-machine" value:@"pflash0=efi-code,pflash1=efi-variables"];
    if (_microvm)
        [self add:@"-global" value:@"virtio-mmio.force-legacy=false"];
    // A guest that panics is told of, and does what its kernel does then. Linux knows the device as QEMU0001, by ACPI.
    // Of what later versions tell by it nothing more is wanted.
    [self add:@"-device" value:@"{\"driver\":\"pvpanic\",\"events\":1}"];
    [self add:@"-action" value:configuration.applevzStopsAtReset ? @"panic=none,reboot=shutdown" : @"panic=none"];
    NSString *accelerator = accelerated ? @"kvm" : @"tcg";
    // With ARAT, which it has, an idle guest lets its host sleep. Five-level page tables only make it slower. ERMS and
    // FSRM promise that `rep movsb` is fast: emulated, it goes byte by byte, and a kernel that believes the promise
    // copies and clears its pages with it.
    NSString *processor = accelerated ? @"host" : @"max,la57=off,erms=off,fsrm=off";
    VZGenericPlatformConfiguration *platform = (VZGenericPlatformConfiguration *)configuration.platform;
    // Intel's and AMD's virtualization; QEMU emulates AMD's alone.
    if (!platform.nestedVirtualizationEnabled)
        processor = [processor stringByAppendingString:accelerated ? @",vmx=off,svm=off" : @",svm=off"];
    // A saved state does not depend on the number of threads.
    [self add:@"-accel" value:accelerated ? accelerator : QEMUEmulatingAccelerator(configuration.CPUCount)];
    [self add:@"-cpu" value:processor];
    [_platformFields addObjectsFromArray:@[
        @[ @"QEMU's machine type", machine ],
        @[ @"QEMU's accelerator", accelerator ],
        @[ @"QEMU's processor model", processor ],
    ]];
    [self add:@"-smp" value:[NSString stringWithFormat:@"%lu", (unsigned long)configuration.CPUCount]];
    [self add:@"-m" value:[NSString stringWithFormat:@"%lluM", (unsigned long long)(configuration.memorySize >> 20)]];
    [self add:@"-uuid" value:platform.machineIdentifier.UUID.UUIDString];
    if (_isExchangeable)
        [self add:@"-device" value:@"vmgenid,guid=auto"];
    [self add:@"-chardev" value:[NSString stringWithFormat:@"socket,id=qmp,fd=%d", QEMUControlDescriptor]];
    [self add:@"-mon" value:@"chardev=qmp,mode=control"];
}

/// The guest's memory is a file, so that saving takes what the guest wrote to straight from it, and QEMU streams only
/// the state of the devices. The file is a memfd: one on a disk is written back all the time while the guest runs, so
/// it is there only where the configuration asks for it, to become a saved state as it is. Or it is that of a saved
/// state, mapped privately: what this guest writes stays with it, and what it only reads is shared with every other
/// machine that runs from the same state. A guest that has a balloon can have QEMU take pages out of the file, for
/// which a private mapping is no hindrance, but that the file is open for reading alone: where QEMU cannot be kept to
/// that, such a guest has a copy.
- (BOOL)addMemory:(VZVirtualMachineConfiguration *)configuration
       savedState:(QEMUSavedState *)savedState
            error:(NSError **)error {
    NSError *cause = nil;
    BOOL mapped = savedState.hasMemory && savedState.isMapped &&
                  (configuration.memoryBalloonDevices.count == 0 || QEMUGivesMemory(_waivedConfinement));
    uint64_t size = configuration.memorySize;
    NSString *folder = configuration.memoryDirectoryPath;
    // It is other machines' memory, too: this one's program has it for reading alone.
    HostDescriptor *file = mapped          ? [savedState.file reopenedWithFlags:O_RDONLY error:&cause]
                           : folder != nil ? [HostDescriptor namelessFileIn:folder size:size error:&cause]
                                           : savedState.formerMemory ?: [HostDescriptor memoryOfSize:size error:&cause];
    if (file == nil)
        return VZRefuse(error,
                        VZErrorWithReason(VZErrorInternal, QEMUStartFailure,
                                          [NSString stringWithFormat:@"There is no file for the guest's memory: %@.",
                                                                     VZSystemCallErrorText((int)cause.code)],
                                          nil, cause));
    // Its name, which it gets once it is a saved state, is for this user alone again.
    if (!mapped && folder != nil && _user != nil)
        fchmod(file.number, 0666);
    NSString *path = [self pathToReopen:file];
    if (mapped) {
        _privateMemory = file;
        _privateMemoryPath = path;
    } else {
        _memory = file;
    }
    [self add:@"-object"
        value:QEMUOptionOfObject(@{
            @"qom-type" : @"memory-backend-file",
            @"id" : @"memory",
            @"mem-path" : path,
            @"size" : @(size),
            @"share" : [NSNumber numberWithBool:!mapped],
            @"dump" : @NO,
        })];
    return YES;
}

/// The stream is read once the memory is there, so all that can be said of it is said while that is copied.
- (BOOL)addSavedState:(QEMUSavedState *)savedState error:(NSError **)error {
    if (savedState == nil)
        return YES;
    HostDescriptor *stream = [savedState streamWithError:error];
    if (stream == nil)
        return NO;
    _incomingDescriptor = [self inherit:stream];
    if (_user != nil && QEMUNeedsRights(stream, _user, NO))
        _incomingFile = stream;
    _incomingPosition = savedState.streamPosition;
    _ignoresSharedMemory = savedState.hasMemory;
    [self add:@"-incoming" value:@"defer"];
    [_preparations addObject:[[QEMUPreparation alloc] initWithCommand:@"migrate-set-capabilities"
                                                            arguments:QEMUMigrationCapabilities(_ignoresSharedMemory)
                                                             property:@"The saved state"]];
    return YES;
}

- (void)addDevice:(NSString *)driver properties:(NSDictionary *)properties {
    NSMutableDictionary *device = [properties mutableCopy];
    _deviceCount++;
    if (_microvm) {
        device[@"driver"] = [driver stringByAppendingString:@"-device"];
    } else {
        device[@"driver"] = [driver stringByAppendingString:@"-pci"];
        [self place:device];
    }
    [self add:@"-device" value:QEMUOptionOfObject(device)];
}

- (void)addPCIDevice:(NSString *)driver properties:(NSDictionary *)properties {
    NSMutableDictionary *device = [properties mutableCopy];
    _deviceCount++;
    device[@"driver"] = driver;
    [self place:device];
    [self add:@"-device" value:QEMUOptionOfObject(device)];
}

- (void)place:(NSMutableDictionary *)device {
    device[@"bus"] = @"pcie.0";
    // Slot 0 is the host bridge.
    device[@"addr"] = [NSString stringWithFormat:@"%#lx", (unsigned long)_deviceCount];
}

- (NSDictionary *)addExchangeableDevice:(NSString *)driver properties:(NSDictionary *)properties {
    NSMutableDictionary *device = [properties mutableCopy];
    NSMutableDictionary *port = [NSMutableDictionary dictionary];
    NSString *identifier = [properties[@"id"] stringByAppendingString:@"-port"];
    _deviceCount++;
    port[@"driver"] = @"pcie-root-port";
    port[@"id"] = identifier;
    port[@"chassis"] = @(_deviceCount);
    [self place:port];
    device[@"driver"] = [driver stringByAppendingString:@"-pci"];
    device[@"bus"] = identifier;
    [self add:@"-device" value:QEMUOptionOfObject(port)];
    [self add:@"-device" value:QEMUOptionOfObject(device)];
    return device;
}

#pragma mark What devices are made of

- (NSUInteger)inherit:(HostDescriptor *)descriptor {
    [_descriptors addObject:descriptor];
    return QEMUFirstConfigurationDescriptor + _descriptors.count - 1;
}

- (void)forgetDescriptors {
    [_descriptors removeAllObjects];
    [_reopenedDescriptors removeAllObjects];
}

- (void)forgetIncomingFile {
    _incomingFile = nil;
}

- (NSString *)pathOfDescriptor:(HostDescriptor *)descriptor {
    unsigned long number = (unsigned long)[self inherit:descriptor];
    [self add:@"-add-fd" value:[NSString stringWithFormat:@"fd=%lu,set=%lu", number, number]];
    return [NSString stringWithFormat:@"/dev/fdset/%lu", number];
}

- (NSString *)pathToReopen:(HostDescriptor *)descriptor {
    [_reopenedDescriptors addObject:descriptor];
    return [NSString stringWithFormat:@"/proc/self/fd/%lu", (unsigned long)[self inherit:descriptor]];
}

- (NSString *)pathToUse:(HostDescriptor *)descriptor error:(NSError **)error {
    if (_user == nil || !QEMUNeedsRights(descriptor, _user, NO))
        return [self pathToReopen:descriptor];
    int mode = fcntl(descriptor.number, F_GETFL) & (O_ACCMODE | O_DIRECT);
    HostDescriptor *reopened = [descriptor reopenedWithFlags:mode error:error];
    return reopened != nil ? [self pathOfDescriptor:reopened] : nil;
}

static HostDescriptor *duplicate_of_file(VZHostFile *file, NSString *property, NSError **error) {
    NSError *cause = nil;
    HostDescriptor *descriptor = [HostDescriptor duplicateOf:file.fileDescriptor error:&cause];
    if (descriptor == nil)
        QEMUCannotOpen(error, property, cause);
    return descriptor;
}

- (NSString *)pathToReopenFile:(VZHostFile *)file as:(NSString *)property error:(NSError **)error {
    HostDescriptor *descriptor = duplicate_of_file(file, property, error);
    return descriptor != nil ? [self pathToReopen:descriptor] : nil;
}

- (NSString *)pathToUseFile:(VZHostFile *)file as:(NSString *)property error:(NSError **)error {
    HostDescriptor *descriptor = duplicate_of_file(file, property, error);
    NSError *cause = nil;
    NSString *path = descriptor != nil ? [self pathToUse:descriptor error:&cause] : nil;
    if (descriptor != nil && path == nil)
        QEMUCannotOpen(error, property, cause);
    return path;
}

void QEMUCannotOpen(NSError **error, NSString *property, NSError *cause) {
    VZRefuse(error, VZErrorWithReason(VZErrorInternal, QEMUStartFailure,
                                      [NSString stringWithFormat:@"%@ cannot be opened: %@.", property,
                                                                 VZSystemCallErrorText((int)cause.code)],
                                      nil, cause));
}

- (NSArray<QEMUUSBDisk *> *)disksOfUSBController:(NSUInteger)index {
    return _disksOfUSBControllers[index];
}

#pragma mark Devices that have no file of their own

- (void)addEntropyDevices:(NSArray<VZEntropyDeviceConfiguration *> *)devices {
    for (NSUInteger index = 0; index < devices.count; index++) {
        NSString *identifier = [NSString stringWithFormat:@"entropy%lu", (unsigned long)index];
        [self add:@"-object" value:[@"rng-builtin,id=" stringByAppendingString:identifier]];
        [self addDevice:@"virtio-rng" properties:@{@"rng" : identifier}];
    }
}

- (void)addAudioDevices:(NSArray<VZAudioDeviceConfiguration *> *)devices {
    for (NSUInteger index = 0; index < devices.count; index++) {
        VZVirtioSoundDeviceConfiguration *device = (VZVirtioSoundDeviceConfiguration *)devices[index];
        NSString *identifier = [NSString stringWithFormat:@"audio%lu", (unsigned long)index];
        // A stream without a source or sink is connected to nothing, and so are those beside it, which share the
        // driver.
        BOOL isConnected = NO;
        for (VZVirtioSoundDeviceStreamConfiguration *stream in device.streams)
            isConnected |= [stream isKindOfClass:[VZVirtioSoundDeviceInputStreamConfiguration class]]
                               ? ((VZVirtioSoundDeviceInputStreamConfiguration *)stream).source != nil
                               : ((VZVirtioSoundDeviceOutputStreamConfiguration *)stream).sink != nil;
        // To the host's sound server, which QEMU connects to.
        isConnected = isConnected && ![QEMUAudioDriver() isEqualToString:@"none"];
        _playsSound |= isConnected;
        _makesLocalSockets |= isConnected;
        [self add:@"-audiodev"
            value:QEMUOptionOfObject(@{@"driver" : isConnected ? QEMUAudioDriver() : @"none", @"id" : identifier})];
        [self addPCIDevice:@"virtio-sound-pci"
                properties:@{@"audiodev" : identifier, @"streams" : @(device.streams.count)}];
    }
}

- (void)addMemoryBalloonDevices:(NSArray<VZMemoryBalloonDeviceConfiguration *> *)devices {
    if (devices.count > 0)
        [self addDevice:@"virtio-balloon" properties:@{@"id" : @"balloon0"}];
}

@end
