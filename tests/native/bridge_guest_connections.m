// SPDX-License-Identifier: Apache-2.0
// Connections to a guest as a Mac's framework leaves them to the bridge, which looks for the guest's lease, on a scripted QEMU
// (APPLEVZ_QEMU). The class that has a way of its own on Linux is made not to tell of it. No lease is ever found: this host has
// no such file.
//
// Arguments: a kernel.
#import "applevz.h"
#import "runtime_checks.h"
#import <Virtualization/Virtualization.h>
#import <objc/runtime.h>
#import <string.h>

static BOOL responds_but_for_connections(id object, SEL self_selector, SEL asked) {
    (void)self_selector;
    if (strcmp(sel_getName(asked), "applevzConnectToPort:completionHandler:") == 0)
        return NO;
    return class_respondsToSelector(object_getClass(object), asked);
}

static void succeed(CFErrorRef error) {
    if (error == NULL)
        return;
    size_t length = 0;
    char *reason = applevz_error_copy_text(error, APPLEVZ_ERROR_TEXT_FAILURE_REASON, &length);
    fprintf(stderr, "%s\n", reason ? reason : "");
    exit(1);
}

static void perform(CFErrorRef (*verb)(applevz_machine *, applevz_operation **), applevz_machine *machine) {
    applevz_operation *operation = NULL;
    succeed(verb(machine, &operation));
    CHECK(applevz_operation_wait(operation, 60) == APPLEVZ_WAIT_COMPLETED);
    succeed(applevz_operation_copy_error(operation));
    applevz_operation_release(operation);
}

static applevz_machine *machine_create(const char *kernel, bool with_network) {
    applevz_configuration *configuration = NULL;
    applevz_network_device_attachment *network = NULL;
    applevz_machine *machine = NULL;
    const char *address = "52:54:00:0a:0b:0c";
    succeed(applevz_configuration_create(&configuration));
    succeed(applevz_configuration_set_memory_size(configuration, UINT64_C(256) << 20));
    succeed(applevz_configuration_set_linux_boot_loader(configuration, kernel, strlen(kernel), NULL, 0, "quiet", 5, true));
    if (with_network) {
        succeed(applevz_network_device_attachment_create_with_nat(&network));
        succeed(applevz_configuration_add_virtio_network_device(configuration, network, address, strlen(address)));
        applevz_network_device_attachment_release(network);
    }
    succeed(applevz_machine_create(configuration, &machine));
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
        class_addMethod([VZVirtualMachine class], @selector(respondsToSelector:), (IMP)(void (*)(void))responds_but_for_connections,
                        "c24@0:8:16");
    }
    applevz_operation *operation = NULL;

    applevz_machine *alone = machine_create(arguments[1], false);
    perform(applevz_machine_start, alone);
    succeed(applevz_machine_connect(alone, 22, &operation));
    refused(operation, APPLEVZ_ERROR_NOT_SUPPORTED, "has no network card with a VZNATNetworkDeviceAttachment");
    perform(applevz_machine_stop, alone);
    applevz_machine_release(alone);

    applevz_machine *machine = machine_create(arguments[1], true);
    succeed(applevz_machine_connect(machine, 22, &operation));
    refused(operation, APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE, "connect: the virtual machine is not running");

    // One whose machine ends while it waits, and waits on while that is paused.
    perform(applevz_machine_start, machine);
    succeed(applevz_machine_connect(machine, 22, &operation));
    perform(applevz_machine_pause, machine);
    CHECK(applevz_operation_wait(operation, 0.3) == APPLEVZ_WAIT_TIMED_OUT);
    perform(applevz_machine_stop, machine);
    refused(operation, APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE, "connect: the virtual machine is not running");

    // One that nobody waits for, and one whose machine is let go.
    perform(applevz_machine_start, machine);
    succeed(applevz_machine_connect(machine, 22, &operation));
    applevz_operation_release(operation);
    succeed(applevz_machine_connect(machine, 22, &operation));
    applevz_machine_release(machine);
    CHECK(applevz_operation_wait(operation, 20) == APPLEVZ_WAIT_COMPLETED);
    CFErrorRef error = applevz_operation_copy_error(operation);
    CHECK(error != NULL && applevz_error_code(error) == APPLEVZ_ERROR_OPERATION_CANCELLED);
    CFRelease(error);
    applevz_operation_release(operation);

    CHECK(applevz_debug_live_handles() == 0);
    return 0;
}
