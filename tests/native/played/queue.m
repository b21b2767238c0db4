// SPDX-License-Identifier: Apache-2.0
// On the played Mac a machine and its devices are used on the machine's queue; another call ends the process. The calls
// named as arguments are made on the queue and, as the last thing, off it: "Class selector" of one that takes nothing.
//
// Arguments: a kernel, a call.
#import "../checks.h"
#import <Virtualization/Virtualization.h>

static id object_of(VZVirtualMachine *machine, const char *class) {
    if (strcmp(class, "VZNetworkDevice") == 0)
        return machine.networkDevices[0];
    if (strcmp(class, "VZVirtioConsoleDevice") == 0)
        return machine.consoleDevices[0];
    if (strcmp(class, "VZVirtioConsolePort") == 0)
        return ((VZVirtioConsoleDevice *)machine.consoleDevices[0]).ports[0];
    if (strcmp(class, "VZVirtioTraditionalMemoryBalloonDevice") == 0)
        return machine.memoryBalloonDevices[0];
    if (strcmp(class, "VZXHCIController") == 0)
        return machine.usbControllers[0];
    CHECK(strcmp(class, "VZVirtualMachine") == 0);
    return machine;
}

int main(int count, char **arguments) {
    CHECK(count == 4);
    @autoreleasepool {
        dispatch_queue_t queue = dispatch_queue_create("queue", DISPATCH_QUEUE_SERIAL);
        VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
        NSURL *kernel = [NSURL fileURLWithPath:[NSString stringWithUTF8String:arguments[1]]];
        configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:kernel];
        configuration.memorySize = 256 << 20;
        VZVirtioNetworkDeviceConfiguration *network = [[VZVirtioNetworkDeviceConfiguration alloc] init];
        network.attachment = [[VZNATNetworkDeviceAttachment alloc] init];
        configuration.networkDevices = @[ network ];
        VZVirtioConsoleDeviceConfiguration *console = [[VZVirtioConsoleDeviceConfiguration alloc] init];
        console.ports[0] = [[VZVirtioConsolePortConfiguration alloc] init];
        configuration.consoleDevices = @[ console ];
        configuration.memoryBalloonDevices = @[ [[VZVirtioTraditionalMemoryBalloonDeviceConfiguration alloc] init] ];
        configuration.usbControllers = @[ [[VZXHCIControllerConfiguration alloc] init] ];
        VZVirtualMachine *machine = [[VZVirtualMachine alloc] initWithConfiguration:configuration queue:queue];
        SEL selector = sel_registerName(arguments[3]);
        __block id object = nil;
        __block IMP method = NULL;
        dispatch_sync(queue, ^{
            object = object_of(machine, arguments[2]);
            method = [object methodForSelector:selector];
            ((void (*)(id, SEL))(void (*)(void))method)(object, selector);
        });
        puts("on its queue");
        fflush(stdout);
        ((void (*)(id, SEL))(void (*)(void))method)(object, selector);
    }
    return 0;
}
