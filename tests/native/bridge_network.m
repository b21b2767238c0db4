// SPDX-License-Identifier: Apache-2.0
// A network card that loses its attachment becomes an event. Here one is given an attachment that QEMU cannot give it.
//
// Arguments: a kernel.
#import "applevz.h"
#import "runtime_checks.h"
#import <Virtualization/Virtualization.h>
#import <stdlib.h>
#import <string.h>
#import <sys/socket.h>
#import <unistd.h>

/// The object behind a machine's handle.
@protocol Machine
- (NSError *)access:(NSError * (^)(VZVirtualMachine *machine))block;
@end

static void succeed(CFErrorRef error, int line) {
    if (error == NULL)
        return;
    fprintf(stderr, "line %d: code %lld\n", line, (long long)applevz_error_code(error));
    exit(1);
}
#define SUCCEED(call) succeed((call), __LINE__)

static applevz_machine *machine_create(const char *kernel) {
    applevz_configuration *configuration = NULL;
    applevz_network_device_attachment *network = NULL;
    applevz_machine *machine = NULL;
    SUCCEED(applevz_configuration_create(&configuration));
    SUCCEED(applevz_configuration_set_cpu_count(configuration, 1));
    SUCCEED(applevz_configuration_set_memory_size(configuration, UINT64_C(256) << 20));
    SUCCEED(applevz_configuration_set_linux_boot_loader(configuration, kernel, strlen(kernel), NULL, 0, "", 0, true));
    SUCCEED(applevz_network_device_attachment_create_with_nat(&network));
    SUCCEED(applevz_configuration_add_virtio_network_device(configuration, network, NULL, 0));
    SUCCEED(applevz_machine_create(configuration, &machine));
    applevz_network_device_attachment_release(network);
    applevz_configuration_release(configuration);
    return machine;
}

static bool is_connected(applevz_machine *machine) {
    bool connected = false;
    SUCCEED(applevz_machine_network_device_is_connected(machine, 0, &connected));
    return connected;
}

static void lose_attachment(applevz_machine *machine) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    NSFileHandle *handle = [[NSFileHandle alloc] initWithFileDescriptor:ends[0] closeOnDealloc:YES];
    [(__bridge id<Machine>)(void *)machine access:^NSError *(VZVirtualMachine *object) {
        CHECK(object.networkDevices.count == 1);
        object.networkDevices[0].attachment = [[VZFileHandleNetworkDeviceAttachment alloc] initWithFileHandle:handle];
        CHECK(object.networkDevices[0].attachment == nil);
        return nil;
    }];
    close(ends[1]);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    @autoreleasepool {
        applevz_machine *machine = machine_create(arguments[1]);
        CHECK(is_connected(machine));
        // Nothing is lost by what was asked for.
        SUCCEED(applevz_machine_connect_network_device(machine, 0, false));
        CHECK(!is_connected(machine));
        SUCCEED(applevz_machine_connect_network_device(machine, 0, true));
        CHECK(is_connected(machine));
        applevz_event event;
        SUCCEED(applevz_machine_next_event(machine, &event));
        CHECK(event.number == 0);

        lose_attachment(machine);
        CHECK(!is_connected(machine));
        SUCCEED(applevz_machine_next_event(machine, &event));
        CHECK(event.number == 1);
        CHECK(event.kind == APPLEVZ_EVENT_KIND_NETWORK_DISCONNECTED);
        CHECK(event.cause == APPLEVZ_EVENT_CAUSE_HOST);
        CHECK(event.state == APPLEVZ_MACHINE_STATE_STOPPED && event.state_before == event.state);
        CHECK(event.error != NULL && applevz_error_code(event.error) == APPLEVZ_ERROR_NETWORK_ERROR);
        CFRelease(event.error);
        SUCCEED(applevz_machine_connect_network_device(machine, 0, true));
        CHECK(is_connected(machine));

        bool unused;
        CFErrorRef error = applevz_machine_network_device_is_connected(machine, 1, &unused);
        CHECK(error != NULL);
        CFRelease(error);
        applevz_machine_release(machine);
    }
    return 0;
}
