// SPDX-License-Identifier: Apache-2.0
// What -validateWithError: refuses, in which words. Files as such are virtualization_files.m's.
#import "virtualization_support.h"
#include <sys/socket.h>

static VZVirtioBlockDeviceConfiguration *disk(NSURL *url, BOOL readOnly) {
    NSError *error = nil;
    VZDiskImageStorageDeviceAttachment *attachment = [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:url
                                                                                                    readOnly:readOnly
                                                                                                       error:&error];
    if (!attachment) {
        printf("%s\n", error.localizedDescription.UTF8String);
        exit(2);
    }
    return [[VZVirtioBlockDeviceConfiguration alloc] initWithAttachment:attachment];
}

static VZVirtioNetworkDeviceConfiguration *network(NSString *address) {
    VZVirtioNetworkDeviceConfiguration *device = [[VZVirtioNetworkDeviceConfiguration alloc] init];
    device.attachment = [[VZNATNetworkDeviceAttachment alloc] init];
    device.MACAddress = [[VZMACAddress alloc] initWithString:address];
    return device;
}

static VZVirtioConsoleDeviceSerialPortConfiguration *port(NSFileHandle *reading, NSFileHandle *writing) {
    VZVirtioConsoleDeviceSerialPortConfiguration *port = [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init];
    port.attachment = [[VZFileHandleSerialPortAttachment alloc] initWithFileHandleForReading:reading
                                                                        fileHandleForWriting:writing];
    return port;
}

static NSFileHandle *handleOf(NSString *path, int flags) {
    return [[NSFileHandle alloc] initWithFileDescriptor:open(path.UTF8String, flags | O_CLOEXEC) closeOnDealloc:YES];
}

static void aMachineWithoutBootLoader(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    CHECK_VALID(configuration);
    configuration.bootLoader = nil;
    CHECK_REFUSED(configuration, @"bootLoader is nil.", @"VZLinuxBootLoader");
}

static void cpuCountsThatTheHostLacks(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    NSUInteger maximum = VZVirtualMachineConfiguration.maximumAllowedCPUCount;
    NSString *suggestion = words(@"1 to %lu.", (unsigned long)maximum);
    configuration.CPUCount = maximum;
    CHECK_VALID(configuration);
    configuration.CPUCount = 0;
    CHECK_REFUSED(configuration, @"CPUCount is 0.", suggestion);
    configuration.CPUCount = maximum + 1;
    CHECK_REFUSED(configuration, words(@"CPUCount is %lu.", (unsigned long)maximum + 1), suggestion);
    configuration.CPUCount = NSUIntegerMax;
    CHECK_REFUSED(configuration, @"CPUCount is 18446744073709551615.", suggestion);
}

static void memoryOutsideTheRangeOrNotWholeMebibytes(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    uint64_t maximum = VZVirtualMachineConfiguration.maximumAllowedMemorySize;
    NSString *suggestion = words(@"allows 4194304 to %llu bytes", (unsigned long long)maximum);
    configuration.memorySize = 4 << 20;
    CHECK_VALID(configuration);
    configuration.memorySize = maximum;
    CHECK_VALID(configuration);
    for (NSNumber *size in
         @[ @0, @1, @((3 << 20)), @((4 << 20) - 1), @(maximum + 1), @(maximum + (1 << 20)), @(UINT64_MAX) ]) {
        configuration.memorySize = size.unsignedLongLongValue;
        CHECK_REFUSED(configuration, words(@"memorySize is %llu bytes.", size.unsignedLongLongValue), suggestion);
    }
    configuration.memorySize = (64 << 20) + 512;
    CHECK_REFUSED(configuration, @"memorySize is 67109376 bytes, not a multiple of 1 MiB (1048576 bytes).",
                  @"67108864");
}

static void memoryTooSmallForWhatIsLoaded(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    configuration.memorySize = 4 << 20;
    VZLinuxBootLoader *loader = (VZLinuxBootLoader *)configuration.bootLoader;
    loader.initialRamdiskURL = diskImage(@"ramdisk", (4 << 20) - 5120 - 1);
    CHECK_VALID(configuration);
    loader.initialRamdiskURL = diskImage(@"ramdisk", (4 << 20) - 5120);
    CHECK_REFUSED(configuration,
                  @"memorySize is 4194304 bytes, but the kernel and its initial RAM disk alone take 4194304.",
                  @"more memory");
}

static void commandLinesThatLinuxDoesNotGetWhole(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZLinuxBootLoader *loader = (VZLinuxBootLoader *)configuration.bootLoader;
    loader.commandLine = [@"" stringByPaddingToLength:2047 withString:@"x" startingAtIndex:0];
    CHECK_VALID(configuration);
    NSString *quoted = [[@"\"" stringByPaddingToLength:151 withString:@"x"
                                       startingAtIndex:0] stringByAppendingString:[@" … " stringByPaddingToLength:153
                                                                                                       withString:@"x"
                                                                                                  startingAtIndex:0]];
    loader.commandLine = [@"" stringByPaddingToLength:2048 withString:@"x" startingAtIndex:0];
    CHECK_REFUSED(configuration, words(@"bootLoader.commandLine is %@\", of 2048 bytes.", quoted), @"2047 bytes");
    // 1500 characters, but 3000 bytes.
    loader.commandLine = [@"" stringByPaddingToLength:1500 withString:@"é" startingAtIndex:0];
    NSError *error = nil;
    CHECK(![configuration validateWithError:&error]);
    CHECK([error.localizedFailureReason hasSuffix:@"of 3000 bytes."]);
    loader.commandLine = @"quiet,\"x\" -- 'y' ü 😀 %s\t";
    CHECK_VALID(configuration);
    loader.commandLine = @"a\nb";
    CHECK_REFUSED(configuration, @"bootLoader.commandLine is \"a\\u000ab\", with a NUL or a line break in it.",
                  @"spaces");
    loader.commandLine = @"a\rb";
    CHECK_REFUSED(configuration, @"bootLoader.commandLine is \"a\\u000db\", with a NUL or a line break in it.",
                  @"spaces");
    loader.commandLine = words(@"a%Cb", (unichar)0);
    CHECK_REFUSED(configuration, @"bootLoader.commandLine is \"a\\u0000b\", with a NUL or a line break in it.",
                  @"spaces");
    NSMutableString *half = [NSMutableString string];
    [half appendFormat:@"%C", (unichar)0xd83d];
    loader.commandLine = half;
    CHECK(![configuration validateWithError:&error]);
    CHECK([error.localizedFailureReason hasPrefix:@"bootLoader.commandLine is "]);
    loader.commandLine = (id _Nonnull)nil;
    CHECK_REFUSED(configuration, @"bootLoader.commandLine is nil.", @"empty string");
}

static void thePlatformMustIdentifyTheMachine(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    ((VZGenericPlatformConfiguration *)configuration.platform).machineIdentifier = (id _Nonnull)nil;
    CHECK_REFUSED(configuration, @"platform.machineIdentifier is nil.", @"VZGenericMachineIdentifier");
    configuration.platform = (id _Nonnull)nil;
    CHECK_REFUSED(configuration, @"platform is nil.", @"VZPlatformConfiguration");
}

@interface ForeignPort : VZSerialPortConfiguration
- (instancetype)init;
@end

@implementation ForeignPort

- (instancetype)init {
    return self;
}

@end

@interface ForeignAttachment : VZNetworkDeviceAttachment
- (instancetype)init;
@end

@implementation ForeignAttachment

- (instancetype)init {
    return self;
}

@end

/// A connected datagram socket with buffers of these sizes, as setsockopt takes them.
static NSFileHandle *socketWithBuffers(int sending, int receiving) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &sending, sizeof sending) == 0);
    CHECK(setsockopt(ends[0], SOL_SOCKET, SO_RCVBUF, &receiving, sizeof receiving) == 0);
    close(ends[1]);
    return [[NSFileHandle alloc] initWithFileDescriptor:ends[0] closeOnDealloc:YES];
}

static void socketsWithoutRoomForFrames(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZVirtioNetworkDeviceConfiguration *device = network(@"02:00:00:00:00:01");
    configuration.networkDevices = @[ device ];
    static const struct {
        int sending, receiving;
        const char *refusal; // behind the descriptor's number
    } sockets[] = {
        {50000, 200000, NULL},
        {100000, 200000, NULL},
        {100000, 199999,
         "a socket whose receive buffer of 199999 bytes is less than twice its send buffer of 100000 bytes"},
        {5000, 20000, "a socket whose send buffer of 5000 bytes does not hold a frame of maximumTransmissionUnit 5000"},
    };
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
        NSFileHandle *handle = socketWithBuffers(sockets[i].sending, sockets[i].receiving);
        VZFileHandleNetworkDeviceAttachment *attachment =
            [[VZFileHandleNetworkDeviceAttachment alloc] initWithFileHandle:handle];
        attachment.maximumTransmissionUnit = 5000;
        device.attachment = attachment;
        if (!sockets[i].refusal) {
            CHECK_VALID(configuration);
            continue;
        }
        CHECK_REFUSED(configuration,
                      words(@"networkDevices[0].attachment.fileHandle has descriptor %d, %s.", handle.fileDescriptor,
                            sockets[i].refusal),
                      @"at least twice that");
    }
}

static void objectsThatAreNoDevices(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    configuration.serialPorts = (NSArray *)@[ @"hvc0" ];
    NSError *error = nil;
    CHECK(![configuration validateWithError:&error]);
    CHECK([error.localizedFailureReason hasPrefix:@"serialPorts[0] is an instance of "]);
    CHECK_EQUAL(error.localizedRecoverySuggestion, @"Use an instance of a subclass of VZSerialPortConfiguration.");
    VZVirtioConsoleDeviceSerialPortConfiguration *agentPort =
        [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init];
    agentPort.attachment = [[VZSpiceAgentPortAttachment alloc] init];
    configuration.serialPorts = @[ agentPort ];
    CHECK_REFUSED(configuration, @"serialPorts[0].attachment is a VZSpiceAgentPortAttachment.",
                  @"Give it to a port of a VZVirtioConsoleDeviceConfiguration.");
    configuration.serialPorts = @[];
    VZVirtioConsoleDeviceConfiguration *consoleDevice = [[VZVirtioConsoleDeviceConfiguration alloc] init];
    VZVirtioConsolePortConfiguration *consolePort = [[VZVirtioConsolePortConfiguration alloc] init];
    consolePort.attachment = [[VZSpiceAgentPortAttachment alloc] init];
    consoleDevice.ports[0] = consolePort;
    configuration.consoleDevices = @[ consoleDevice ];
    CHECK([configuration validateWithError:&error]);
    consolePort.isConsole = YES;
    CHECK_REFUSED(configuration,
                  @"consoleDevices[0].ports[0].attachment is a VZSpiceAgentPortAttachment, and the port is a console.",
                  @"Set isConsole to NO");
    configuration.consoleDevices = @[];
    configuration.serialPorts = @[ [[ForeignPort alloc] init] ];
    CHECK_REFUSED(configuration, @"serialPorts[0] is an instance of ForeignPort.",
                  @"VZVirtioConsoleDeviceSerialPortConfiguration");
    configuration.serialPorts = @[];
    VZVirtioNetworkDeviceConfiguration *device = network(@"02:00:00:00:00:01");
    device.attachment = [[ForeignAttachment alloc] init];
    configuration.networkDevices = @[ device ];
    CHECK_REFUSED(configuration, @"networkDevices[0].attachment is an instance of ForeignAttachment.",
                  @"VZNATNetworkDeviceAttachment");
    configuration.networkDevices = (id _Nonnull)nil;
    CHECK_VALID(configuration);
}

static void devicesAndAttachmentsUsedTwice(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZVirtioConsoleDeviceSerialPortConfiguration *one = [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init];
    VZVirtioConsoleDeviceSerialPortConfiguration *two = [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init];
    configuration.serialPorts = @[ one, two ];
    CHECK_VALID(configuration);
    configuration.serialPorts = @[ one, two, one ];
    CHECK_REFUSED(configuration, @"serialPorts[2] is the same object as serialPorts[0].", @"of its own");
    CHECK_REFUSED([configuration copy], @"serialPorts[2] is the same object as serialPorts[0].", @"of its own");
    NSPipe *pipe = [NSPipe pipe];
    one.attachment = port(pipe.fileHandleForReading, nil).attachment;
    two.attachment = one.attachment;
    configuration.serialPorts = @[ one, two ];
    CHECK_REFUSED(configuration, @"serialPorts[1].attachment is the same object as serialPorts[0].attachment.",
                  @"of its own");
    configuration.serialPorts = @[];
    VZVirtioBlockDeviceConfiguration *first = disk(diskImage(@"disk", 512), YES);
    configuration.storageDevices =
        @[ first, [[VZVirtioBlockDeviceConfiguration alloc] initWithAttachment:first.attachment] ];
    CHECK_REFUSED(configuration, @"storageDevices[1].attachment is the same object as storageDevices[0].attachment.",
                  @"of its own");
}

static void imagesAttachedTwiceUnlessBothAreReadOnly(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    NSURL *url = diskImage(@"one", 512);
    NSURL *linked = [NSURL fileURLWithPath:inFolder(@"linked")];
    NSURL *hard = [NSURL fileURLWithPath:inFolder(@"hard")];
    CHECK(symlink(url.path.UTF8String, linked.path.UTF8String) == 0);
    CHECK(link(url.path.UTF8String, hard.path.UTF8String) == 0);
    configuration.storageDevices = @[ disk(url, NO), disk(diskImage(@"two", 512), NO) ];
    CHECK_VALID(configuration);
    for (NSURL *same in @[ url, linked, hard ]) {
        NSString *reason = words(@"storageDevices[1].attachment.URL is \"%@\", the same image as "
                                 @"storageDevices[0].attachment.URL, and not both are readOnly.",
                                 same.path);
        configuration.storageDevices = @[ disk(url, NO), disk(same, NO) ];
        CHECK_REFUSED(configuration, reason, @"readOnly");
        configuration.storageDevices = @[ disk(url, YES), disk(same, NO) ];
        CHECK_REFUSED(configuration, reason, @"readOnly");
        configuration.storageDevices = @[ disk(url, NO), disk(same, YES) ];
        CHECK_REFUSED(configuration, reason, @"readOnly");
        configuration.storageDevices = @[ disk(url, YES), disk(same, YES) ];
        CHECK_VALID(configuration);
    }
}

static void networkDevicesNeedAnAddressOfTheirOwnAndANetwork(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    configuration.networkDevices = @[ network(@"02:00:00:00:00:01"), network(@"02:00:00:00:00:02") ];
    CHECK_VALID(configuration);
    configuration.networkDevices =
        @[ network(@"02:00:00:00:00:0a"), network(@"02:00:00:00:00:02"), network(@"02:00:00:00:00:0A") ];
    CHECK_REFUSED(configuration,
                  @"networkDevices[2].MACAddress is 02:00:00:00:00:0a, as is networkDevices[0].MACAddress.",
                  @"of its own");
    NSDictionary *wrong = @{
        @"ff:ff:ff:ff:ff:ff" : @"ff:ff:ff:ff:ff:ff, the broadcast address.",
        @"03:00:00:00:00:01" : @"03:00:00:00:00:01, a multicast address.",
        @"00:00:00:00:00:00" : @"00:00:00:00:00:00, which stands for no address.",
        @"no address" : @"nil.",
    };
    for (NSString *address in wrong) {
        configuration.networkDevices = @[ network(address) ];
        CHECK_REFUSED(configuration, [@"networkDevices[0].MACAddress is " stringByAppendingString:wrong[address]],
                      @"unicast");
    }
    configuration.networkDevices = @[ network(@"02:00:00:00:00:01") ];
    configuration.networkDevices[0].attachment = nil;
    CHECK_REFUSED(configuration, @"networkDevices[0].attachment is nil.", @"VZNATNetworkDeviceAttachment");
}

static void blockDeviceIdentifiersThatAGuestCannotRead(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZVirtioBlockDeviceConfiguration *one = disk(diskImage(@"one", 512), NO);
    VZVirtioBlockDeviceConfiguration *two = disk(diskImage(@"two", 512), NO);
    configuration.storageDevices = @[ one, two ];
    one.blockDeviceIdentifier = @"01234567890123456789";
    two.blockDeviceIdentifier = @"a,b=c\"\\ ~-";
    CHECK_VALID(configuration);
    two.blockDeviceIdentifier = one.blockDeviceIdentifier;
    CHECK_REFUSED(configuration,
                  @"storageDevices[1].blockDeviceIdentifier is \"01234567890123456789\", as is "
                  @"storageDevices[0].blockDeviceIdentifier.",
                  @"of its own");
    one.blockDeviceIdentifier = @"";
    NSDictionary *wrong = @{
        @"012345678901234567890" : @"is \"012345678901234567890\", which has 21 characters.",
        @"é" : @"is \"é\", in which character 1 is not a printable ASCII one.",
        @"a\tb" : @"is \"a\\u0009b\", in which character 2 is not a printable ASCII one.",
        @"ab\x7f" : @"is \"ab\\u007f\", in which character 3 is not a printable ASCII one.",
        words(@"a%C", (unichar)0) : @"is \"a\\u0000\", in which character 2 is not a printable ASCII one.",
    };
    for (NSString *identifier in wrong) {
        NSError *error = nil;
        two.blockDeviceIdentifier = identifier;
        CHECK_REFUSED(configuration, words(@"storageDevices[1].blockDeviceIdentifier %@", wrong[identifier]),
                      @"20 printable");
        CHECK(![VZVirtioBlockDeviceConfiguration validateBlockDeviceIdentifier:identifier error:&error]);
        CHECK_ERROR(error, VZErrorInvalidVirtualMachineConfiguration,
                    words(@"blockDeviceIdentifier %@", wrong[identifier]), @"20 printable");
        CHECK(![VZVirtioBlockDeviceConfiguration validateBlockDeviceIdentifier:identifier error:NULL]);
    }
    two.blockDeviceIdentifier = (id _Nonnull)nil;
    CHECK_REFUSED(configuration, @"storageDevices[1].blockDeviceIdentifier is nil.", @"20 printable");
    CHECK([VZVirtioBlockDeviceConfiguration validateBlockDeviceIdentifier:@"" error:NULL]);
}

static void moreDevicesThanAMachineHolds(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    NSMutableArray *devices = [NSMutableArray array];
    for (int i = 0; i < 29; i++) {
        [devices addObject:[[VZVirtioEntropyDeviceConfiguration alloc] init]];
    }
    configuration.entropyDevices = devices;
    configuration.memoryBalloonDevices = @[ [[VZVirtioTraditionalMemoryBalloonDeviceConfiguration alloc] init] ];
    CHECK_VALID(configuration);
    configuration.serialPorts = @[ [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init] ];
    CHECK_REFUSED(
        configuration,
        @"audioDevices, consoleDevices, directorySharingDevices, entropyDevices, graphicsDevices, "
        @"memoryBalloonDevices, networkDevices, serialPorts, socketDevices, storageDevices and usbControllers have 31 "
        @"devices together.",
        @"room for 30");
    configuration.entropyDevices = @[];
    configuration.memoryBalloonDevices = @[
        [[VZVirtioTraditionalMemoryBalloonDeviceConfiguration alloc] init],
        [[VZVirtioTraditionalMemoryBalloonDeviceConfiguration alloc] init]
    ];
    CHECK_REFUSED(configuration, @"memoryBalloonDevices has 2 devices.", @"at most one");
}

static void fileHandlesThatCannotCarryASerialPort(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    NSPipe *pipe = [NSPipe pipe];
    NSFileHandle *reading = pipe.fileHandleForReading;
    NSFileHandle *writing = pipe.fileHandleForWriting;
    configuration.serialPorts = @[ port(reading, nil), port(nil, writing), port(reading, writing) ];
    CHECK_VALID(configuration);
    configuration.serialPorts = @[ port(nil, nil) ];
    CHECK_REFUSED(configuration,
                  @"serialPorts[0].attachment has neither a fileHandleForReading nor a fileHandleForWriting.",
                  @"at least one");
    configuration.serialPorts = @[ port(writing, nil) ];
    CHECK_REFUSED(configuration,
                  words(@"serialPorts[0].attachment.fileHandleForReading has descriptor %d, which is not open for "
                        @"reading.",
                        writing.fileDescriptor),
                  @"open for reading");
    configuration.serialPorts = @[ port(reading, reading) ];
    CHECK_REFUSED(configuration,
                  words(@"serialPorts[0].attachment.fileHandleForWriting has descriptor %d, which is not open for "
                        @"writing.",
                        reading.fileDescriptor),
                  @"open for writing");
    NSFileHandle *directory = handleOf(folder, O_RDONLY);
    configuration.serialPorts = @[ port(directory, nil) ];
    CHECK_REFUSED(configuration,
                  words(@"serialPorts[0].attachment.fileHandleForReading has descriptor %d, which is a directory's.",
                        directory.fileDescriptor),
                  @"");
    NSFileHandle *null = handleOf(@"/dev/null", O_RDWR);
    configuration.serialPorts = @[ port(null, null) ];
    CHECK_VALID(configuration);
    int descriptor = null.fileDescriptor;
    close(descriptor);
    NSError *error = CHECK_REFUSED(configuration,
                                   words(@"serialPorts[0].attachment.fileHandleForReading has descriptor %d, which "
                                         @"is not open: Bad file descriptor.",
                                         descriptor),
                                   @"stay open");
    NSError *underlying = error.userInfo[NSUnderlyingErrorKey];
    CHECK_EQUAL(underlying.domain, NSPOSIXErrorDomain);
    CHECK(underlying.code == EBADF);
    NSString *exception = raised(^{
        port(nil, null);
    });
    CHECK([exception hasPrefix:@"NSInvalidArgumentException: *** -[VZFileHandleSerialPortAttachment "]);
    exception = raised(^{
        port(null, nil);
    });
    CHECK([exception hasPrefix:@"NSInvalidArgumentException: "]);
    // The handle closes its descriptor again: leave it one to close.
    CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) == descriptor);
}

static void missingObjectsRaiseAsAtApple(void) {
    CHECK([raised(^{
        (void)[[VZLinuxBootLoader alloc] initWithKernelURL:(id _Nonnull)nil];
    }) hasPrefix:@"NSInvalidArgumentException: *** -[VZLinuxBootLoader initWithKernelURL:]"]);
    CHECK([raised(^{
        (void)[[VZVirtioBlockDeviceConfiguration alloc] initWithAttachment:(id _Nonnull)nil];
    }) hasPrefix:@"NSInvalidArgumentException: "]);
    CHECK([raised(^{
        (void)[[VZDiskImageStorageDeviceAttachment alloc] initWithURL:(id _Nonnull)nil readOnly:NO error:NULL];
    }) hasPrefix:@"NSInvalidArgumentException: "]);
    CHECK([raised(^{
        (void)[[VZFileSerialPortAttachment alloc] initWithURL:(id _Nonnull)nil append:NO error:NULL];
    }) hasPrefix:@"NSInvalidArgumentException: "]);
}

int main(void) {
    void (*const tests[])(void) = {
        aMachineWithoutBootLoader,
        cpuCountsThatTheHostLacks,
        memoryOutsideTheRangeOrNotWholeMebibytes,
        memoryTooSmallForWhatIsLoaded,
        commandLinesThatLinuxDoesNotGetWhole,
        thePlatformMustIdentifyTheMachine,
        objectsThatAreNoDevices,
        devicesAndAttachmentsUsedTwice,
        imagesAttachedTwiceUnlessBothAreReadOnly,
        networkDevicesNeedAnAddressOfTheirOwnAndANetwork,
        blockDeviceIdentifiersThatAGuestCannotRead,
        moreDevicesThanAMachineHolds,
        fileHandlesThatCannotCarryASerialPort,
        missingObjectsRaiseAsAtApple,
        socketsWithoutRoomForFrames,
    };
    return runTests(tests, sizeof tests / sizeof *tests);
}
