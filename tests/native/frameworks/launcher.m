// SPDX-License-Identifier: Apache-2.0
// A launcher as somebody writes it for Apple's framework: `launcher main|queue|pipe KERNEL INITRD`. The guest's console
// is its standard input and output. It observes `state`, asks the guest to stop when it is interrupted, and ends when
// the guest does. Nothing in it knows on which system it runs. Built with ARC and, from the same source, without.
//
//   main    the machine is on the main queue, which the run loop serves
//   queue   it is on a queue of its own, and the main thread in dispatch_main
//   pipe    as main, with CFRunLoopRun; what the guest writes comes through an NSPipe and its readabilityHandler
#import <Foundation/Foundation.h>
#import <Virtualization/Virtualization.h>

#if __has_feature(objc_arc)
#define AUTORELEASED(object) (object)
#else
#define AUTORELEASED(object) [(object) autorelease]
#endif

static void *StateContext = &StateContext;
static BOOL ends_by_itself;

@interface Launcher : NSObject <VZVirtualMachineDelegate>
- (instancetype)initWithMachine:(VZVirtualMachine *)machine;
@end

@implementation Launcher {
    VZVirtualMachine *_machine;
}

- (instancetype)initWithMachine:(VZVirtualMachine *)machine {
    self = [super init];
    if (self) {
#if __has_feature(objc_arc)
        _machine = machine;
#else
        _machine = [machine retain];
#endif
        _machine.delegate = self;
        [_machine addObserver:self forKeyPath:@"state" options:NSKeyValueObservingOptionNew context:StateContext];
    }
    return self;
}

- (void)observeValueForKeyPath:(NSString *)keyPath
                      ofObject:(id)object
                        change:(NSDictionary<NSKeyValueChangeKey, id> *)change
                       context:(void *)context {
    if (context == StateContext)
        fprintf(stderr, "state %ld\n", (long)[change[NSKeyValueChangeNewKey] integerValue]);
    else
        [super observeValueForKeyPath:keyPath ofObject:object change:change context:context];
}

- (void)guestDidStopVirtualMachine:(VZVirtualMachine *)virtualMachine {
    fprintf(stderr, "guest stopped, %s\n", virtualMachine == _machine ? "this machine's" : "another machine's");
    [_machine removeObserver:self forKeyPath:@"state" context:StateContext];
    if (NSThread.isMainThread && CFRunLoopGetCurrent() == CFRunLoopGetMain())
        CFRunLoopStop(CFRunLoopGetMain());
    // On a queue of its own, and in a run loop that has no end.
    if (!ends_by_itself)
        exit(0);
}

- (void)virtualMachine:(VZVirtualMachine *)virtualMachine didStopWithError:(NSError *)error {
    fprintf(stderr, "stopped with error: %s\n", error.localizedDescription.UTF8String);
    exit(2);
}

#if !__has_feature(objc_arc)
- (void)dealloc {
    [_machine release];
    [super dealloc];
}
#endif

@end

static VZVirtualMachineConfiguration *configuration_of(NSURL *kernel, NSURL *ramdisk, NSFileHandle *output) {
    VZVirtualMachineConfiguration *configuration = AUTORELEASED([[VZVirtualMachineConfiguration alloc] init]);
    configuration.CPUCount = 1;
    configuration.memorySize = 256ull * 1024 * 1024;

    VZLinuxBootLoader *bootLoader = AUTORELEASED([[VZLinuxBootLoader alloc] initWithKernelURL:kernel]);
    bootLoader.initialRamdiskURL = ramdisk;
    bootLoader.commandLine = @"console=hvc0 quiet";
    configuration.bootLoader = bootLoader;

    VZVirtioConsoleDeviceSerialPortConfiguration *port =
        AUTORELEASED([[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init]);
    port.attachment = AUTORELEASED([[VZFileHandleSerialPortAttachment alloc]
        initWithFileHandleForReading:NSFileHandle.fileHandleWithStandardInput
                fileHandleForWriting:output]);
    configuration.serialPorts = @[ port ];
    configuration.entropyDevices = @[ AUTORELEASED([[VZVirtioEntropyDeviceConfiguration alloc] init]) ];
    configuration.memoryBalloonDevices =
        @[ AUTORELEASED([[VZVirtioTraditionalMemoryBalloonDeviceConfiguration alloc] init]) ];

    VZVirtioNetworkDeviceConfiguration *network = AUTORELEASED([[VZVirtioNetworkDeviceConfiguration alloc] init]);
    network.attachment = AUTORELEASED([[VZNATNetworkDeviceAttachment alloc] init]);
    network.MACAddress = [VZMACAddress randomLocallyAdministeredAddress];
    configuration.networkDevices = @[ network ];
    return configuration;
}

int main(int argc, const char *argv[]) {
    @autoreleasepool {
        if (argc != 4) {
            fprintf(stderr, "usage: launcher main|queue|pipe KERNEL INITRD\n");
            return 64;
        }
        NSURL *kernel = [NSURL fileURLWithPath:@(argv[2])];
        NSURL *ramdisk = [NSURL fileURLWithPath:@(argv[3])];
        ends_by_itself = strcmp(argv[1], "pipe") == 0;
        NSFileHandle *output = NSFileHandle.fileHandleWithStandardOutput;
        NSPipe *pipe = ends_by_itself ? [NSPipe pipe] : nil;
        pipe.fileHandleForReading.readabilityHandler = ^(NSFileHandle *fileHandle) {
            [output writeData:fileHandle.availableData];
        };
        VZVirtualMachineConfiguration *configuration =
            configuration_of(kernel, ramdisk, pipe ? pipe.fileHandleForWriting : output);
        NSError *error = nil;
        if (![configuration validateWithError:&error]) {
            fprintf(stderr, "%s %ld: %s\n", error.domain.UTF8String, (long)error.code,
                    error.localizedFailureReason.UTF8String);
            return 1;
        }

        BOOL onMainQueue = strcmp(argv[1], "queue") != 0;
        dispatch_queue_t queue =
            onMainQueue ? dispatch_get_main_queue() : dispatch_queue_create("launcher", DISPATCH_QUEUE_SERIAL);
        VZVirtualMachine *machine = [[VZVirtualMachine alloc] initWithConfiguration:configuration queue:queue];
        __block Launcher *launcher = nil;
        dispatch_async(queue, ^{
            launcher = [[Launcher alloc] initWithMachine:machine];
            [machine startWithCompletionHandler:^(NSError *errorOrNil) {
                if (errorOrNil) {
                    fprintf(stderr, "not started: %s\n", errorOrNil.localizedDescription.UTF8String);
                    exit(1);
                }
                fprintf(stderr, "started\n");
            }];
        });

        signal(SIGINT, SIG_IGN);
        dispatch_source_t interrupt = dispatch_source_create(DISPATCH_SOURCE_TYPE_SIGNAL, SIGINT, 0, queue);
        dispatch_source_set_event_handler(interrupt, ^{
            NSError *refusal = nil;
            if (![machine requestStopWithError:&refusal])
                fprintf(stderr, "not asked to stop: %s\n", refusal.localizedDescription.UTF8String);
        });
        dispatch_resume(interrupt);

        if (ends_by_itself)
            CFRunLoopRun();
        else if (onMainQueue)
            [[NSRunLoop mainRunLoop] run];
        else
            dispatch_main();
        pipe.fileHandleForReading.readabilityHandler = nil;
        fprintf(stderr, "the end\n");
    }
    return 0;
}
