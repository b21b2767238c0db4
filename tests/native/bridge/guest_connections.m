// SPDX-License-Identifier: Apache-2.0
// Connections to a guest as a Mac's framework leaves them to the bridge, which looks for the guest's lease, on a
// scripted QEMU (APPLEVZ_QEMU). The class that has a way of its own on Linux is made not to tell of it. No lease is
// ever found: this host has no such file.
//
// Arguments: a kernel.
#import "bridge_support.h"
#import <Virtualization/Virtualization.h>
#import <objc/runtime.h>
#import <string.h>

static BOOL responds_but_for_connections(id object, SEL self_selector, SEL asked) {
    (void)self_selector;
    if (strcmp(sel_getName(asked), "applevzConnectToPort:whileWanted:completionHandler:") == 0)
        return NO;
    return class_respondsToSelector(object_getClass(object), asked);
}

static applevz_machine *machine_create(const char *kernel, bool with_network) {
    applevz_configuration *configuration = configuration_create(kernel);
    applevz_network_device_attachment *network = NULL;
    applevz_machine *machine = NULL;
    const char *address = "52:54:00:0a:0b:0c";
    if (with_network) {
        SUCCEED(applevz_network_device_attachment_create_with_nat(true, false, &network));
        SUCCEED(applevz_configuration_add_virtio_network_device(configuration, network, address, strlen(address)));
        applevz_network_device_attachment_release(network);
    }
    SUCCEED(applevz_machine_create(configuration, &machine));
    applevz_configuration_release(configuration);
    return machine;
}

static void refused(applevz_operation *operation, int64_t code, const char *words) {
    // Long before a guest without a lease is given up.
    CHECK(applevz_operation_wait(operation, 20) == APPLEVZ_WAIT_COMPLETED);
    CFErrorRef error = applevz_operation_copy_error(operation);
    CHECK(error != NULL && applevz_error_code(error) == code);
    size_t length = 0;
    char *reason = applevz_error_copy_text(error, APPLEVZ_ERROR_TEXT_FAILURE_REASON, &length);
    CHECK(strstr(reason, words) != NULL);
    applevz_free(reason);
    CFRelease(error);
    applevz_operation_release(operation);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    @autoreleasepool {
        class_addMethod([VZVirtualMachine class], @selector(respondsToSelector:),
                        (IMP)(void (*)(void))responds_but_for_connections, "c24@0:8:16");
    }
    applevz_operation *operation = NULL;

    applevz_machine *alone = machine_create(arguments[1], false);
    SUCCEED(perform(applevz_machine_start, alone));
    SUCCEED(applevz_machine_connect(alone, 22, &operation));
    refused(operation, APPLEVZ_ERROR_NOT_SUPPORTED, "has no network card with a VZNATNetworkDeviceAttachment");
    SUCCEED(perform(applevz_machine_stop, alone));
    applevz_machine_release(alone);

    applevz_machine *machine = machine_create(arguments[1], true);
    SUCCEED(applevz_machine_connect(machine, 22, &operation));
    refused(operation, APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE, "connect: the virtual machine is not running");

    // One whose machine ends while it waits, and waits on while that is paused.
    SUCCEED(perform(applevz_machine_start, machine));
    SUCCEED(applevz_machine_connect(machine, 22, &operation));
    SUCCEED(perform(applevz_machine_pause, machine));
    CHECK(applevz_operation_wait(operation, 0.3) == APPLEVZ_WAIT_TIMED_OUT);
    SUCCEED(perform(applevz_machine_stop, machine));
    refused(operation, APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE, "connect: the virtual machine is not running");

    // One that nobody waits for, and one whose machine is let go.
    SUCCEED(perform(applevz_machine_start, machine));
    SUCCEED(applevz_machine_connect(machine, 22, &operation));
    applevz_operation_release(operation);
    SUCCEED(applevz_machine_connect(machine, 22, &operation));
    applevz_machine_release(machine);
    CHECK(applevz_operation_wait(operation, 20) == APPLEVZ_WAIT_COMPLETED);
    CFErrorRef error = applevz_operation_copy_error(operation);
    CHECK(error != NULL && applevz_error_code(error) == APPLEVZ_ERROR_OPERATION_CANCELLED);
    CFRelease(error);
    applevz_operation_release(operation);

    CHECK(applevz_debug_live_handles() == 0);
    return 0;
}
