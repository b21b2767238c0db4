// SPDX-License-Identifier: Apache-2.0
// Conversations with those whom a guest may have taken over: QEMU, and an agent in the guest.
#import "fuzz.h"
#import "guest/guest_agent.h"
#import "QEMU/program/QEMUVersion.h"
#import "QEMU/program/QMPConnection.h"
#import "machine/VZVirtualMachine+Private.h"
#import <dispatch/dispatch.h>
#import <fcntl.h>
#import <string.h>
#import <sys/socket.h>
#import <unistd.h>

@interface VZVirtualMachine (Fuzzing)
- (void)takeEvent:(NSString *)name data:(NSDictionary *)data;
@end

@interface AppleVZGuestAgent (Fuzzing)
- (void)receive;
@end

static VZVirtualMachine *machine_with_devices(dispatch_queue_t queue) {
    VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
    NSURL *kernel = [NSURL fileURLWithPath:[NSString stringWithUTF8String:getenv("FUZZ_KERNEL")]];
    configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:kernel];
    configuration.memorySize = UINT64_C(256) << 20;
    VZVirtioConsoleDeviceConfiguration *console = [[VZVirtioConsoleDeviceConfiguration alloc] init];
    console.ports[0] = [[VZVirtioConsolePortConfiguration alloc] init];
    configuration.consoleDevices = @[ console ];
    VZVirtioNetworkDeviceConfiguration *network = [[VZVirtioNetworkDeviceConfiguration alloc] init];
    network.attachment = [[VZNATNetworkDeviceAttachment alloc] init];
    configuration.networkDevices = @[ network ];
    configuration.usbControllers = @[ [[VZXHCIControllerConfiguration alloc] init] ];
    return [[VZVirtualMachine alloc] initWithConfiguration:configuration queue:queue];
}

/// A conversation with a QEMU, as its machine has it, after a few commands.
void read_qmp(const uint8_t *bytes, size_t length) {
    static dispatch_queue_t queue;
    static VZVirtualMachine *machine;
    if (queue == nil) {
        queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
        dispatch_sync(queue, ^{
            machine = machine_with_devices(queue);
        });
    }
    int ends[2];
    HOLD(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    int ours = ends[0], theirs = ends[1];
    dispatch_sync(queue, ^{
        @autoreleasepool {
            QMPConnection *connection =
                [[QMPConnection alloc] initWithSocket:[[HostDescriptor alloc] initWithDescriptor:ours]
                                                queue:queue
                                                 name:@"QEMU 1"];
            __block int answers = 0;
            connection.greetingHandler = ^(NSDictionary *greeting) {
                if (QEMUVersionErrorOfGreeting(greeting) == nil)
                    look_through(QEMUVersionOfGreeting(greeting), 0);
            };
            connection.eventHandler = ^(NSString *name, NSDictionary *data) {
                [machine takeEvent:name data:data];
            };
            connection.endHandler = ^(NSError *error) {
                // Nothing was left to the guard: each type was looked at.
                HOLD([error.localizedFailureReason rangeOfString:@"could not be dealt with"].location == NSNotFound ||
                     error.localizedFailureReason == nil);
            };
            for (int i = 0; i < 3; i++)
                [connection execute:@"query-status"
                          arguments:nil
                         descriptor:nil
                            seconds:60
                         completion:^(id result, NSError *error) {
                             answers++;
                             look_through(result, 1);
                             if (error != nil)
                                 look_through(error.localizedFailureReason, 0);
                         }];
            (void)!write(theirs, bytes, length);
            [connection drain];
            shutdown(theirs, SHUT_WR);
            [connection drain];
            [connection closeWithError:[NSError errorWithDomain:NSPOSIXErrorDomain code:1 userInfo:nil]];
            HOLD(answers == 3);
        }
    });
    close(theirs);
}

/// A guest's agent, from before it is synchronized, or after.
void read_agent(const uint8_t *bytes, size_t length) {
    NSError *error = nil;
    AppleVZGuestAgent *agent = [[AppleVZGuestAgent alloc] initWithError:&error];
    HOLD(agent != nil);
    VZFileHandleSerialPortAttachment *attachment = (VZFileHandleSerialPortAttachment *)agent.attachment;
    int end = attachment.fileHandleForWriting.fileDescriptor;
    fcntl(end, F_SETFL, O_NONBLOCK);
    dispatch_queue_t queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
    dispatch_sync(queue, ^{
        [agent attachToQueue:queue
                clockHandler:^(NSError *failure) {
                    if (failure != nil)
                        look_through(failure.localizedFailureReason, 0);
                    HOLD([failure.localizedFailureReason rangeOfString:@"could not be dealt with"].location ==
                             NSNotFound ||
                         failure == nil);
                }];
        [agent stateChangedFrom:APPLEVZ_MACHINE_STATE_RESTORING to:APPLEVZ_MACHINE_STATE_PAUSED];
        [agent stateChangedFrom:APPLEVZ_MACHINE_STATE_RESUMING to:APPLEVZ_MACHINE_STATE_RUNNING];
        char request[512] = {0};
        HOLD(read(end, request, sizeof request - 1) > 0);
        const char *number = strstr(request, "\"id\":");
        HOLD(number != NULL);
        if (length > 0 && bytes[0] & 1)
            dprintf(end, "\xFF{\"return\": %llu}\n", strtoull(number + 5, NULL, 10));
        (void)!write(end, bytes, length);
        for (size_t i = 0; i < length / 4096 + 3; i++)
            [agent receive];
        [agent stateChangedFrom:APPLEVZ_MACHINE_STATE_RUNNING to:APPLEVZ_MACHINE_STATE_STOPPED];
    });
}
