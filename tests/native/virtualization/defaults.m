// SPDX-License-Identifier: Apache-2.0
// Numbers, defaults, values and copies of the configuration classes, as programs for Apple's framework expect them.
#import "virtualization_support.h"
#include <sched.h>

static void numbersAreApples(void) {
    CHECK_EQUAL(VZErrorDomain, @"VZErrorDomain");
    CHECK(VZErrorInternal == 1 && VZErrorInvalidVirtualMachineConfiguration == 2);
    CHECK(VZErrorInvalidVirtualMachineState == 3 && VZErrorInvalidVirtualMachineStateTransition == 4);
    CHECK(VZErrorInvalidDiskImage == 5 && VZErrorVirtualMachineLimitExceeded == 6 && VZErrorNetworkError == 7);
    CHECK(VZErrorOutOfDiskSpace == 8 && VZErrorOperationCancelled == 9 && VZErrorNotSupported == 10);
    CHECK(VZErrorSave == 11 && VZErrorRestore == 12);
    CHECK(VZErrorRestoreImageCatalogLoadFailed == 10001 && VZErrorInvalidRestoreImageCatalog == 10002);
    CHECK(VZErrorNoSupportedRestoreImagesInCatalog == 10003 && VZErrorRestoreImageLoadFailed == 10004);
    CHECK(VZErrorInvalidRestoreImage == 10005 && VZErrorInstallationRequiresUpdate == 10006);
    CHECK(VZErrorInstallationFailed == 10007);
    CHECK(VZErrorNetworkBlockDeviceNegotiationFailed == 20001 && VZErrorNetworkBlockDeviceDisconnected == 20002);
    CHECK(VZErrorUSBControllerNotFound == 30001 && VZErrorDeviceAlreadyAttached == 30002);
    CHECK(VZErrorDeviceInitializationFailure == 30003 && VZErrorDeviceNotFound == 30004);
    CHECK(VZDiskImageCachingModeAutomatic == 0 && VZDiskImageCachingModeUncached == 1);
    CHECK(VZDiskImageCachingModeCached == 2);
    CHECK(VZDiskImageSynchronizationModeFull == 1 && VZDiskImageSynchronizationModeFsync == 2);
    CHECK(VZDiskImageSynchronizationModeNone == 3);
    CHECK(VZVirtualMachineStateStopped == 0 && VZVirtualMachineStateRunning == 1 && VZVirtualMachineStatePaused == 2);
    CHECK(VZVirtualMachineStateError == 3 && VZVirtualMachineStateStarting == 4 && VZVirtualMachineStatePausing == 5);
    CHECK(VZVirtualMachineStateResuming == 6 && VZVirtualMachineStateStopping == 7);
    CHECK(VZVirtualMachineStateSaving == 8 && VZVirtualMachineStateRestoring == 9);
}

static void aNewConfigurationIsTheSmallestMachine(void) {
    VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
    CHECK(configuration.bootLoader == nil);
    CHECK(configuration.CPUCount == VZVirtualMachineConfiguration.minimumAllowedCPUCount);
    CHECK(configuration.memorySize == VZVirtualMachineConfiguration.minimumAllowedMemorySize);
    CHECK([configuration.platform isKindOfClass:[VZGenericPlatformConfiguration class]]);
    CHECK_EQUAL(configuration.entropyDevices, @[]);
    CHECK_EQUAL(configuration.graphicsDevices, @[]);
    CHECK_EQUAL(configuration.keyboards, @[]);
    CHECK_EQUAL(configuration.pointingDevices, @[]);
    CHECK_EQUAL(configuration.memoryBalloonDevices, @[]);
    CHECK_EQUAL(configuration.networkDevices, @[]);
    CHECK_EQUAL(configuration.serialPorts, @[]);
    CHECK_EQUAL(configuration.storageDevices, @[]);
}

static void theAllowedRangesAreTheHosts(void) {
    cpu_set_t usable;
    uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t maximum = VZVirtualMachineConfiguration.maximumAllowedMemorySize;
    CHECK(VZVirtualMachineConfiguration.minimumAllowedCPUCount == 1);
    CHECK(VZVirtualMachineConfiguration.minimumAllowedMemorySize == 4 << 20);
    CHECK(maximum <= physical && physical - maximum < 1 << 20 && maximum % (1 << 20) == 0);
    CHECK(sched_getaffinity(0, sizeof usable, &usable) == 0);
    CHECK((int)VZVirtualMachineConfiguration.maximumAllowedCPUCount == MIN(CPU_COUNT(&usable), 255));
    // The process's affinity counts, not the host's processors.
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &usable)) {
            CPU_SET(cpu, &one);
        }
    }
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(VZVirtualMachineConfiguration.maximumAllowedCPUCount == 1);
    CHECK(sched_setaffinity(0, sizeof usable, &usable) == 0);
}

static void devicesHaveApplesDefaults(void) {
    NSError *error = nil;
    VZLinuxBootLoader *loader = [[VZLinuxBootLoader alloc] initWithKernelURL:[NSURL fileURLWithPath:@"/k"]];
    CHECK_EQUAL(loader.kernelURL.path, @"/k");
    CHECK_EQUAL(loader.commandLine, @"");
    CHECK(loader.initialRamdiskURL == nil);
    CHECK([[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init].attachment == nil);
    VZVirtioNetworkDeviceConfiguration *network = [[VZVirtioNetworkDeviceConfiguration alloc] init];
    CHECK(network.attachment == nil);
    CHECK(network.MACAddress.isUnicastAddress && network.MACAddress.isLocallyAdministeredAddress);
    CHECK(![network.MACAddress isEqual:[[VZVirtioNetworkDeviceConfiguration alloc] init].MACAddress]);
    VZDiskImageStorageDeviceAttachment *image =
        [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:diskImage(@"disk", 512) readOnly:YES error:&error];
    CHECK(image && !error);
    CHECK(image.isReadOnly && image.readOnly);
    CHECK(image.cachingMode == VZDiskImageCachingModeAutomatic);
    CHECK(image.synchronizationMode == VZDiskImageSynchronizationModeFull);
    VZVirtioBlockDeviceConfiguration *block = [[VZVirtioBlockDeviceConfiguration alloc] initWithAttachment:image];
    CHECK_EQUAL(block.blockDeviceIdentifier, @"");
    CHECK(block.attachment == image);
    VZDiskImageStorageDeviceAttachment *other =
        [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:image.URL
                                                       readOnly:NO
                                                    cachingMode:VZDiskImageCachingModeCached
                                            synchronizationMode:VZDiskImageSynchronizationModeNone
                                                          error:&error];
    CHECK(!other.readOnly && other.cachingMode == VZDiskImageCachingModeCached);
    CHECK(other.synchronizationMode == VZDiskImageSynchronizationModeNone);
    VZFileSerialPortAttachment *file =
        [[VZFileSerialPortAttachment alloc] initWithURL:[NSURL fileURLWithPath:inFolder(@"log")]
                                                 append:YES
                                                  error:&error];
    CHECK(file.append);
    CHECK_EQUAL(file.URL.path, inFolder(@"log"));
    CHECK(access(inFolder(@"log").UTF8String, F_OK) != 0);
    NSPipe *pipe = [NSPipe pipe];
    VZFileHandleSerialPortAttachment *handles =
        [[VZFileHandleSerialPortAttachment alloc] initWithFileHandleForReading:pipe.fileHandleForReading
                                                          fileHandleForWriting:pipe.fileHandleForWriting];
    CHECK(handles.fileHandleForReading == pipe.fileHandleForReading);
    CHECK(handles.fileHandleForWriting == pipe.fileHandleForWriting);
    VZSpiceAgentPortAttachment *agent = [[VZSpiceAgentPortAttachment alloc] init];
    CHECK(agent.sharesClipboard);
    agent.sharesClipboard = NO;
    CHECK(!agent.sharesClipboard);
    CHECK_EQUAL(VZSpiceAgentPortAttachment.spiceAgentPortName, @"com.redhat.spice.0");
}

static void machineIdentifiersAreUniqueAndKept(void) {
    VZGenericMachineIdentifier *one = [[VZGenericMachineIdentifier alloc] init];
    VZGenericMachineIdentifier *two = [[VZGenericMachineIdentifier alloc] init];
    CHECK(![one isEqual:two]);
    NSData *data = one.dataRepresentation;
    VZGenericMachineIdentifier *again = [[VZGenericMachineIdentifier alloc] initWithDataRepresentation:data];
    CHECK([one isEqual:again] && one.hash == again.hash && one != again);
    CHECK_EQUAL(again.dataRepresentation, data);
    CHECK([one isEqual:[one copy]] && ![one isEqual:(id _Nonnull)nil] && ![one isEqual:@"x"]);
    for (NSUInteger length = 0; length <= data.length + 4; length++) {
        NSMutableData *wrong = [NSMutableData dataWithData:data];
        wrong.length = length;
        CHECK(([[VZGenericMachineIdentifier alloc] initWithDataRepresentation:wrong] != nil) ==
              (length == data.length));
    }
    NSMutableData *unmarked = [NSMutableData dataWithLength:data.length];
    CHECK([[VZGenericMachineIdentifier alloc] initWithDataRepresentation:unmarked] == nil);
}

static void macAddressesAreReadAndWritten(void) {
    VZMACAddress *address = [[VZMACAddress alloc] initWithString:@"01:23:45:Ab:cD:EF"];
    ether_addr_t octets = {{0x01, 0x23, 0x45, 0xab, 0xcd, 0xef}};
    CHECK_EQUAL(address.string, @"01:23:45:ab:cd:ef");
    ether_addr_t read = address.ethernetAddress;
    CHECK(memcmp(&read, &octets, sizeof octets) == 0);
    VZMACAddress *same = [[VZMACAddress alloc] initWithEthernetAddress:octets];
    CHECK([same isEqual:address] && same.hash == address.hash && [same isEqual:[same copy]]);
    CHECK(![same isEqual:(id _Nonnull)nil] && ![same isEqual:@"01:23:45:ab:cd:ef"]);
    CHECK(address.isMulticastAddress && !address.isUnicastAddress && !address.isBroadcastAddress);
    CHECK(!address.isLocallyAdministeredAddress && address.isUniversallyAdministeredAddress);
    VZMACAddress *broadcast = [[VZMACAddress alloc] initWithString:@"ff:ff:ff:ff:ff:ff"];
    CHECK(broadcast.isBroadcastAddress && broadcast.isMulticastAddress && !broadcast.isUnicastAddress);
    CHECK(broadcast.isLocallyAdministeredAddress);
    NSString *nul = [NSString stringWithFormat:@"01:23:45:ab:cd:e%C", (unichar)0];
    for (NSString *wrong in @[
             @"", @"01:23:45:ab:cd", @"01:23:45:ab:cd:ef:", @"01-23-45-ab-cd-ef", @"0123456789ab", @"1:23:45:ab:cd:ef",
             @"01:23:45:ab:cd:eg", @" 1:23:45:ab:cd:ef", @"01:23:45:ab:cd:ef ", @"01:23:45:ab:cd:é",
             @"+1:23:45:ab:cd:ef", @"０1:23:45:ab:cd:ef", nul
         ]) {
        CHECK([[VZMACAddress alloc] initWithString:wrong] == nil);
    }
    CHECK([[VZMACAddress alloc] initWithString:(id _Nonnull)nil] == nil);
    for (int i = 0; i < 1000; i++) {
        VZMACAddress *random = [VZMACAddress randomLocallyAdministeredAddress];
        CHECK(random.isUnicastAddress && random.isLocallyAdministeredAddress);
        CHECK([random isEqual:[[VZMACAddress alloc] initWithString:random.string]]);
    }
}

static void aCopyIsNotAffectedByLaterChanges(void) {
    NSError *error = nil;
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZLinuxBootLoader *loader = (VZLinuxBootLoader *)configuration.bootLoader;
    loader.commandLine = @"a";
    loader.initialRamdiskURL = writeBytes(@"ramdisk", "x", 1);
    VZGenericPlatformConfiguration *platform = (VZGenericPlatformConfiguration *)configuration.platform;
    VZGenericMachineIdentifier *identifier = platform.machineIdentifier;
    VZDiskImageStorageDeviceAttachment *image =
        [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:diskImage(@"disk", 512) readOnly:NO error:&error];
    VZVirtioBlockDeviceConfiguration *block = [[VZVirtioBlockDeviceConfiguration alloc] initWithAttachment:image];
    block.blockDeviceIdentifier = @"root";
    VZVirtioNetworkDeviceConfiguration *network = [[VZVirtioNetworkDeviceConfiguration alloc] init];
    network.attachment = [[VZNATNetworkDeviceAttachment alloc] init];
    VZMACAddress *address = network.MACAddress;
    VZVirtioConsoleDeviceSerialPortConfiguration *port = [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init];
    NSMutableArray *disks = [NSMutableArray arrayWithObject:block];
    configuration.storageDevices = disks;
    configuration.networkDevices = @[ network ];
    configuration.serialPorts = @[ port ];
    configuration.entropyDevices = @[ [[VZVirtioEntropyDeviceConfiguration alloc] init] ];
    configuration.memoryBalloonDevices = @[ [[VZVirtioTraditionalMemoryBalloonDeviceConfiguration alloc] init] ];
    VZVirtioGraphicsScanoutConfiguration *scanout =
        [[VZVirtioGraphicsScanoutConfiguration alloc] initWithWidthInPixels:800 heightInPixels:600];
    VZVirtioGraphicsDeviceConfiguration *graphics = [[VZVirtioGraphicsDeviceConfiguration alloc] init];
    CHECK_EQUAL(graphics.scanouts, @[]);
    graphics.scanouts = @[ scanout ];
    configuration.graphicsDevices = @[ graphics ];
    CHECK_VALID(configuration);

    VZVirtualMachineConfiguration *copy = [configuration copy];
    [disks removeAllObjects];
    CHECK(configuration.storageDevices.count == 1);
    configuration.CPUCount = 77;
    configuration.memorySize = 77;
    configuration.entropyDevices = @[];
    configuration.memoryBalloonDevices = @[];
    loader.commandLine = @"b";
    loader.kernelURL = [NSURL fileURLWithPath:@"/nowhere"];
    loader.initialRamdiskURL = nil;
    platform.machineIdentifier = [[VZGenericMachineIdentifier alloc] init];
    CHECK(!platform.isNestedVirtualizationEnabled);
    platform.nestedVirtualizationEnabled = YES;
    block.blockDeviceIdentifier = @"changed";
    network.MACAddress = [VZMACAddress randomLocallyAdministeredAddress];
    network.attachment = nil;
    scanout.widthInPixels = 77;
    graphics.scanouts = @[];
    port.attachment = [[VZFileSerialPortAttachment alloc] initWithURL:[NSURL fileURLWithPath:inFolder(@"log")]
                                                               append:NO
                                                                error:&error];

    CHECK_VALID(copy);
    VZLinuxBootLoader *copiedLoader = (VZLinuxBootLoader *)copy.bootLoader;
    CHECK_EQUAL(copiedLoader.commandLine, @"a");
    CHECK_EQUAL(copiedLoader.kernelURL.path, inFolder(@"kernel"));
    CHECK_EQUAL(copiedLoader.initialRamdiskURL.path, inFolder(@"ramdisk"));
    CHECK_EQUAL([(VZGenericPlatformConfiguration *)copy.platform machineIdentifier], identifier);
    CHECK(![(VZGenericPlatformConfiguration *)copy.platform isNestedVirtualizationEnabled]);
    CHECK([(VZGenericPlatformConfiguration *)[platform copy] isNestedVirtualizationEnabled]);
    CHECK(copy.CPUCount == 1 && copy.memorySize == 64 << 20);
    CHECK(copy.entropyDevices.count == 1 && copy.memoryBalloonDevices.count == 1);
    VZVirtioBlockDeviceConfiguration *copiedBlock = (VZVirtioBlockDeviceConfiguration *)copy.storageDevices[0];
    CHECK_EQUAL(copiedBlock.blockDeviceIdentifier, @"root");
    CHECK(copiedBlock.attachment == image && copiedBlock != block);
    CHECK_EQUAL(copy.networkDevices[0].MACAddress, address);
    CHECK(copy.networkDevices[0].attachment != nil);
    CHECK(copy.serialPorts[0].attachment == nil);
    VZVirtioGraphicsScanoutConfiguration *copiedScanout =
        [(VZVirtioGraphicsDeviceConfiguration *)copy.graphicsDevices[0] scanouts][0];
    CHECK(copiedScanout.widthInPixels == 800 && copiedScanout.heightInPixels == 600);
}

static int liveConfigurations;

@interface CountedConfiguration : VZVirtualMachineConfiguration
@end

@implementation CountedConfiguration

- (instancetype)init {
    liveConfigurations++;
    return [super init];
}

- (void)dealloc {
    liveConfigurations--;
}

@end

static int livePorts;

@interface CountedPort : VZVirtioConsoleDeviceSerialPortConfiguration
@end

@implementation CountedPort

- (instancetype)init {
    livePorts++;
    return [super init];
}

- (id)copyWithZone:(NSZone *)zone {
    livePorts++;
    return [super copyWithZone:zone];
}

- (void)dealloc {
    livePorts--;
}

@end

static void configurationsAndCopiesAreReleased(void) {
    for (int i = 0; i < 100; i++) {
        @autoreleasepool {
            CountedConfiguration *configuration = [[CountedConfiguration alloc] init];
            configuration.serialPorts = @[ [[CountedPort alloc] init], [[CountedPort alloc] init] ];
            VZVirtualMachineConfiguration *copy = [configuration copy];
            NSError *error = nil;
            CHECK(![copy validateWithError:&error] && error);
            CHECK(liveConfigurations == 2 && livePorts == 4);
        }
    }
    CHECK(liveConfigurations == 0);
    CHECK(livePorts == 0);
}

int main(void) {
    void (*const tests[])(void) = {
        numbersAreApples,
        aNewConfigurationIsTheSmallestMachine,
        theAllowedRangesAreTheHosts,
        devicesHaveApplesDefaults,
        machineIdentifiersAreUniqueAndKept,
        macAddressesAreReadAndWritten,
        aCopyIsNotAffectedByLaterChanges,
        configurationsAndCopiesAreReleased,
    };
    return runTests(tests, sizeof tests / sizeof *tests);
}
