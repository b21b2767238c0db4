// SPDX-License-Identifier: Apache-2.0
#import "boundary/descriptors.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "machine/machine.h"
#import "boundary/missing_capabilities.h"
#import "boundary/ownership.h"
#import "boundary/text.h"
#import "applevz.h"
#import "applevz_extensions.h"
#import <Virtualization/Virtualization.h>
#import <limits.h>
#import <sys/socket.h>

NSError *applevz_isolated_networks_missing(void) {
    if ([VZNATNetworkDeviceAttachment instancesRespondToSelector:@selector(setApplevzHasInternet:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"Guests have no network without a way out on this host.",
                         @"The NAT of the virtualization framework reaches whatever the host reaches.",
                         @"Leave internet out, or give the guest no network card: its agent and sockets need none.");
}

NSError *applevz_host_isolation_missing(void) {
    Class<AppleVZNATExtensions> extensions = (Class)[VZNATNetworkDeviceAttachment class];
    if ([VZNATNetworkDeviceAttachment respondsToSelector:@selector(applevzHostIsolationError)])
        return [extensions applevzHostIsolationError];
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"Guests with NAT are not kept from this host.",
                         @"What a guest reaches is up to the NAT of the virtualization framework.",
                         @"Have no service listen on this host that a guest must not reach, or give the guest no "
                         @"network card: its agent and sockets need none.");
}

CFErrorRef applevz_network_device_attachment_create_with_nat(bool internet, bool host_access,
                                                             applevz_network_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        if (!internet && host_access)
            return applevz_invalid_argument(@"A network without a way out reaches no host.",
                                            @"host_access is true, but internet is false.",
                                            @"Leave host_access out, or have internet be true.");
        VZNATNetworkDeviceAttachment *object = [[VZNATNetworkDeviceAttachment alloc] init];
        if (!internet) {
            NSError *error = applevz_isolated_networks_missing();
            if (error != nil)
                return error;
            [(id<AppleVZNATExtensions>)object setApplevzHasInternet:NO];
        }
        // A framework whose NAT decides by itself has nothing to be told.
        if (host_access && [object respondsToSelector:@selector(setApplevzReachesHost:)])
            [(id<AppleVZNATExtensions>)object setApplevzReachesHost:YES];
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

enum { SENDING_SIZE = 1 << 20, RECEIVING_SIZE = 4 * SENDING_SIZE };

static int size_of(int socket, int buffer) {
    int size = 0;
    socklen_t length = sizeof size;
    return getsockopt(socket, SOL_SOCKET, buffer, &size, &length) == 0 ? size : -1;
}

/// As much of it as the system lets, which refuses what is too much, or gives less.
static void enlarge(int socket, int buffer, int size) {
    for (int present = size_of(socket, buffer); size > present; size /= 2)
        if (setsockopt(socket, SOL_SOCKET, buffer, &size, sizeof size) == 0)
            break;
}

/// The framework expects room to receive for twice as much as to send, at least, and recommends four times
/// (VZFileHandleNetworkDeviceAttachment.maximumTransmissionUnit). A Mac gives a datagram socket of the family AF_UNIX
/// room for two kilobytes and four, which a frame of a larger unit does not pass, and two of 1500 bytes fill. No buffer
/// becomes smaller.
static void enlarge_buffers(int socket) {
    if (size_of(socket, SO_TYPE) != SOCK_DGRAM)
        return; // the framework's to refuse
    int sending = size_of(socket, SO_SNDBUF);
    enlarge(socket, SO_RCVBUF, MAX(RECEIVING_SIZE, sending < INT_MAX / 2 ? 2 * sending : INT_MAX));
    // Some systems tell twice what they were asked for: four times is twice there.
    enlarge(socket, SO_SNDBUF, MIN(SENDING_SIZE, size_of(socket, SO_RCVBUF) / 4));
}

CFErrorRef applevz_network_device_attachment_create_with_file_handle(int socket, int64_t maximum_transmission_unit,
                                                                     applevz_network_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSFileHandle *handle = applevz_duplicated_file_handle(socket, @"file_handle", &error);
        if (handle == nil)
            return error;
        enlarge_buffers(handle.fileDescriptor);
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

static NSError *access_network_device(applevz_machine *machine, size_t index,
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
        return access_network_device(machine, index, ^NSError *(VZNetworkDevice *device) {
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
        return access_network_device(machine, index, ^NSError *(VZNetworkDevice *device) {
            return attach(owner, device, applevz_borrowed(VZNetworkDeviceAttachment, attachment));
        });
    });
}

CFErrorRef applevz_machine_connect_network_device(applevz_machine *machine, size_t index, bool connected) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        return access_network_device(machine, index, ^NSError *(VZNetworkDevice *device) {
            return attach(owner, device, connected ? [owner configuredAttachmentOfNetworkDevice:index] : nil);
        });
    });
}
