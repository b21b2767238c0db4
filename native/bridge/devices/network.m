// SPDX-License-Identifier: Apache-2.0
#import "../descriptors.h"
#import "../errors.h"
#import "../guard.h"
#import "../machine.h"
#import "../ownership.h"
#import "../platform.h"
#import "../text.h"
#import "applevz.h"
#import <Virtualization/Virtualization.h>

CFErrorRef applevz_network_device_attachment_create_with_nat(applevz_network_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        *attachment = applevz_hand_over_handle([[VZNATNetworkDeviceAttachment alloc] init]);
        return nil;
    });
}

CFErrorRef applevz_network_device_attachment_create_with_file_handle(int socket, int64_t maximum_transmission_unit,
                                                                     applevz_network_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSFileHandle *handle = applevz_duplicated_file_handle(socket, @"file_handle", &error);
        if (handle == nil)
            return error;
        VZFileHandleNetworkDeviceAttachment *object =
            [[VZFileHandleNetworkDeviceAttachment alloc] initWithFileHandle:handle];
        if (maximum_transmission_unit != 0)
            object.maximumTransmissionUnit = (NSInteger)maximum_transmission_unit;
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

void applevz_network_device_attachment_release(applevz_network_device_attachment *attachment) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(attachment);
    });
}

CFErrorRef applevz_configuration_add_virtio_network_device(applevz_configuration *configuration,
                                                           applevz_network_device_attachment *attachment,
                                                           const char *mac_address, size_t mac_address_length) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        VZVirtioNetworkDeviceConfiguration *device = [[VZVirtioNetworkDeviceConfiguration alloc] init];
        device.attachment = applevz_borrowed(VZNetworkDeviceAttachment, attachment);
        if (mac_address_length > 0) {
            NSString *text = applevz_text(mac_address, mac_address_length, @"MAC address", &error);
            if (error != nil)
                return error;
            VZMACAddress *address = [[VZMACAddress alloc] initWithString:text];
            if (address == nil)
                return applevz_invalid_argument(
                    @"Invalid MAC address.",
                    [NSString stringWithFormat:@"mac_address: \"%@\" is not a MAC address.", text],
                    @"Give six bytes in hexadecimal with colons between them, such as 0a:1b:2c:3d:4e:5f.");
            device.MACAddress = address;
        }
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.networkDevices = [object.networkDevices arrayByAddingObject:device];
        return nil;
    });
}

static NSError *access_device(applevz_machine *machine, size_t index,
                              NSError *_Nullable (^block)(VZNetworkDevice *device)) {
    return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
        NSArray<VZNetworkDevice *> *devices = object.networkDevices;
        if (index < devices.count)
            return block(devices[index]);
        return applevz_no_such_index(@"There is no such network device.", index, devices.count,
                                     @"Add a network device to the configuration.");
    }];
}

CFErrorRef applevz_machine_network_device_count(applevz_machine *machine, size_t *count) {
    return applevz_guard(^NSError *_Nullable {
        return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
            *count = object.networkDevices.count;
            return nil;
        }];
    });
}

CFErrorRef applevz_machine_network_device_attachment(applevz_machine *machine, size_t index,
                                                     applevz_network_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        return access_device(machine, index, ^NSError *(VZNetworkDevice *device) {
            VZNetworkDeviceAttachment *present = device.attachment;
            *attachment = present != nil ? applevz_hand_over_handle(present) : NULL;
            return nil;
        });
    });
}

/// The framework tells its delegate where it could not, which is there before the assignment returns if it is at once.
static NSError *attach(AppleVZMachine *owner, VZNetworkDevice *device, VZNetworkDeviceAttachment *attachment) {
    owner.disconnection = nil;
    device.attachment = attachment;
    NSError *error = owner.disconnection;
    owner.disconnection = nil;
    return error;
}

CFErrorRef applevz_machine_set_network_device_attachment(applevz_machine *machine, size_t index,
                                                         applevz_network_device_attachment *attachment) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        return access_device(machine, index, ^NSError *(VZNetworkDevice *device) {
            return attach(owner, device, applevz_borrowed(VZNetworkDeviceAttachment, attachment));
        });
    });
}

CFErrorRef applevz_machine_connect_network_device(applevz_machine *machine, size_t index, bool connected) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        return access_device(machine, index, ^NSError *(VZNetworkDevice *device) {
            return attach(owner, device, connected ? [owner configuredAttachmentOfNetworkDevice:index] : nil);
        });
    });
}
