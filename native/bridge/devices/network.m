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
        return applevz_invalid_argument(
            @"There is no such network device.",
            [NSString stringWithFormat:@"index is %zu; the machine has %lu.", index, (unsigned long)devices.count],
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

CFErrorRef applevz_machine_network_device_is_connected(applevz_machine *machine, size_t index, bool *connected) {
    return applevz_guard(^NSError *_Nullable {
        return access_device(machine, index, ^NSError *(VZNetworkDevice *device) {
            *connected = device.attachment != nil;
            return nil;
        });
    });
}

CFErrorRef applevz_machine_connect_network_device(applevz_machine *machine, size_t index, bool connected) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        return access_device(machine, index, ^NSError *(VZNetworkDevice *device) {
            device.attachment = connected ? [owner configuredAttachmentOfNetworkDevice:index] : nil;
            return nil;
        });
    });
}

NSError *applevz_guest_connections_missing(void) {
    if ([VZVirtualMachine instancesRespondToSelector:@selector(applevzConnectToPort:completionHandler:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"A guest's ports cannot be connected to by the machine here.",
                         @"The virtualization framework does not tell which address a guest has.",
                         @"Connect to the guest's own address, which the host reaches.");
}

CFErrorRef applevz_machine_connect(applevz_machine *machine, uint16_t port, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_guest_connections_missing();
        if (error == nil && port == 0)
            error = applevz_invalid_argument(@"Invalid port.", @"port is 0, which no service has.",
                                             @"Give a number from 1 to 65535.");
        if (error != nil)
            return error;
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        *operation = applevz_hand_over_handle(
            [owner request:^(VZVirtualMachine *object, AppleVZOperation *result, void (^done)(void)) {
                [(id<AppleVZConnections>)object applevzConnectToPort:port
                                                   completionHandler:^(int descriptor, NSError *_Nullable failure) {
                                                       if (failure != nil)
                                                           [result completeWithError:failure];
                                                       else
                                                           [result completeWithDescriptor:descriptor];
                                                       done();
                                                   }];
            }]);
        return nil;
    });
}
