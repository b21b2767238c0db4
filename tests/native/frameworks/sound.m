// SPDX-License-Identifier: Apache-2.0
// A machine with sound and a display, as somebody configures it for Apple's framework: `sound KERNEL`. Prints what is
// refused, starts it where it can be, and uses it off its queue at last.
#import <Foundation/Foundation.h>
#import <Virtualization/Virtualization.h>

@interface Watcher : NSObject <VZGraphicsDisplayObserver>
@end
@implementation Watcher
- (void)displayDidBeginReconfiguration:(VZGraphicsDisplay *)display {
    printf("begins %g\n", display.sizeInPixels.width);
}
@end

static VZVirtioSoundDeviceConfiguration *sound(int outputs, int inputs) {
    VZVirtioSoundDeviceConfiguration *device = [[VZVirtioSoundDeviceConfiguration alloc] init];
    NSMutableArray<VZVirtioSoundDeviceStreamConfiguration *> *streams = [NSMutableArray array];
    for (int i = 0; i < outputs; i++) {
        VZVirtioSoundDeviceOutputStreamConfiguration *output =
            [[VZVirtioSoundDeviceOutputStreamConfiguration alloc] init];
        output.sink = [[VZHostAudioOutputStreamSink alloc] init];
        [streams addObject:output];
    }
    for (int i = 0; i < inputs; i++) {
        VZVirtioSoundDeviceInputStreamConfiguration *input = [[VZVirtioSoundDeviceInputStreamConfiguration alloc] init];
        input.source = [[VZHostAudioInputStreamSource alloc] init];
        [streams addObject:input];
    }
    device.streams = streams;
    return device;
}

static BOOL validates(VZVirtualMachineConfiguration *configuration, VZAudioDeviceConfiguration *device) {
    NSError *error = nil;
    configuration.audioDevices = @[ device ];
    BOOL valid = [configuration validateWithError:&error];
    printf("%s\n", valid ? "valid" : error.localizedDescription.UTF8String);
    return valid;
}

int main(int argc, const char *argv[]) {
    @autoreleasepool {
        if (argc != 2)
            return 64;
        setvbuf(stdout, NULL, _IOLBF, 0);
        VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
        configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:[NSURL fileURLWithPath:@(argv[1])]];
        configuration.memorySize = 256ull << 20;
        VZVirtioGraphicsDeviceConfiguration *graphics = [[VZVirtioGraphicsDeviceConfiguration alloc] init];
        graphics.scanouts = @[ [[VZVirtioGraphicsScanoutConfiguration alloc] initWithWidthInPixels:640
                                                                                    heightInPixels:480] ];
        configuration.graphicsDevices = @[ graphics ];
        printf("%lu devices\n", (unsigned long)configuration.audioDevices.count);
        validates(configuration, sound(0, 0));
        validates(configuration, sound(1, 2));
        VZVirtioSoundDeviceConfiguration *device = sound(1, 1);
        ((VZVirtioSoundDeviceOutputStreamConfiguration *)device.streams[0]).sink =
            (VZAudioOutputStreamSink *)(id) @"a text";
        validates(configuration, device);
        if (!validates(configuration, sound(2, 1)))
            return 0;
        VZVirtualMachineConfiguration *copy = [configuration copy];
        VZVirtioSoundDeviceConfiguration *copied = (VZVirtioSoundDeviceConfiguration *)copy.audioDevices[0];
        printf("copied %d %lu\n", copied != configuration.audioDevices[0], (unsigned long)copied.streams.count);
        NSError *error = nil;
        if (![copy validateSaveRestoreSupportWithError:&error])
            printf("%s\n", error.localizedDescription.UTF8String);

        dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
        dispatch_semaphore_t started = dispatch_semaphore_create(0);
        VZVirtualMachine *machine = [[VZVirtualMachine alloc] initWithConfiguration:copy queue:queue];
        dispatch_sync(queue, ^{
            Watcher *watcher = [[Watcher alloc] init];
            VZGraphicsDisplay *display = machine.graphicsDevices[0].displays[0];
            [display addObserver:watcher];
            NSError *refusal = nil;
            printf("reconfigured %d\n", [display reconfigureWithSizeInPixels:display.sizeInPixels error:&refusal]);
            if (![display reconfigureWithSizeInPixels:(CGSize){800, 600} error:&refusal])
                printf("%ld %s\n", (long)refusal.code, refusal.localizedDescription.UTF8String);
            if (![display reconfigureWithConfiguration:(VZGraphicsDisplayConfiguration *)(id) @"a text" error:&refusal])
                printf("%ld %s\n", (long)refusal.code, refusal.localizedDescription.UTF8String);
            [display removeObserver:watcher];
            [machine startWithCompletionHandler:^(NSError *problem) {
                printf("started %s\n", problem.localizedDescription.UTF8String ?: "");
                dispatch_semaphore_signal(started);
            }];
        });
        dispatch_semaphore_wait(started, DISPATCH_TIME_FOREVER);
        printf("state %ld\n", (long)machine.state);
    }
    return 0;
}
