// SPDX-License-Identifier: Apache-2.0
// Two USB disks of one server share an attachment, which has one delegate: a disk that is refused leaves it the
// other's.
//
// Arguments: a kernel.
#import "bridge_support.h"
#import <Virtualization/Virtualization.h>

static const char url[] = "nbd://localhost/disk", uuid[] = "b28c5e2e-cf6c-4c0a-8f9e-5d4a1a3d5b11";

static applevz_machine *machine_create(const char *kernel, applevz_storage_device_attachment *attachment) {
    applevz_configuration *configuration = configuration_create(kernel);
    applevz_machine *machine = NULL;
    SUCCEED(applevz_configuration_add_xhci_controller(configuration));
    SUCCEED(applevz_configuration_add_device_to_usb_controller(configuration, 0, attachment, uuid, sizeof uuid - 1));
    SUCCEED(applevz_machine_create(configuration, &machine));
    applevz_configuration_release(configuration);
    return machine;
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    @autoreleasepool {
        applevz_storage_device_attachment *attachment = NULL;
        SUCCEED(applevz_storage_device_attachment_create_with_network_block_device(
            url, sizeof url - 1, 1, false, APPLEVZ_DISK_SYNCHRONIZATION_MODE_FULL, &attachment));
        applevz_machine *machine = machine_create(arguments[1], attachment);
        VZNetworkBlockDeviceStorageDeviceAttachment *object =
            (__bridge VZNetworkBlockDeviceStorageDeviceAttachment *)attachment;
        id delegate = object.delegate;
        CHECK(delegate != nil);

        // The machine is stopped, in which state nothing can be attached.
        applevz_usb_device *device = NULL;
        applevz_operation *operation = NULL;
        SUCCEED(applevz_usb_device_create(attachment, NULL, 0, &device));
        SUCCEED(applevz_machine_attach_usb_device(machine, 0, device, attachment, &operation));
        CFErrorRef error = error_of(operation);
        CHECK(error != NULL && applevz_error_code(error) == APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE);
        CFRelease(error);
        CHECK(object.delegate == delegate);

        applevz_usb_device_release(device);
        applevz_machine_release(machine);
        applevz_storage_device_attachment_release(attachment);
    }
    CHECK(applevz_debug_live_handles() == 0);
    return 0;
}
