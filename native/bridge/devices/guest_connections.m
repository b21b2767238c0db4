// SPDX-License-Identifier: Apache-2.0
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "guest/leased_connection.h"
#import "machine/machine.h"
#import "boundary/ownership.h"
#import "applevz.h"
#import "applevz_extensions.h"
#import <Virtualization/Virtualization.h>

/// Where the DHCP server of the framework's NAT keeps its leases.
static NSString *const Leases = @"/var/db/dhcpd_leases";

/// The MAC address of the first network card that has a NAT network now.
static NSString *mac_address_of(AppleVZMachine *owner, VZVirtualMachine *machine, NSError **error) {
    NSUInteger index = 0;
    for (VZNetworkDevice *device in machine.networkDevices) {
        if ([device.attachment isKindOfClass:[VZNATNetworkDeviceAttachment class]])
            return [owner macAddressOfNetworkDevice:index];
        index++;
    }
    *error = applevz_error(VZErrorDomain, VZErrorNotSupported, @"The guest cannot be connected to.",
                           @"Its machine has no network card with a VZNATNetworkDeviceAttachment.",
                           @"Add one to networkDevices of the configuration.");
    return nil;
}

static NSError *not_running(void) {
    return applevz_error(VZErrorDomain, VZErrorInvalidVirtualMachineState, @"Invalid virtual machine state.",
                         @"connect: the virtual machine is not running.",
                         @"Its guest can be connected to when it is running.");
}

/// Whether its guest may still come to answer.
static BOOL has_guest(VZVirtualMachineState state) {
    return state != VZVirtualMachineStateStopping && state != VZVirtualMachineStateStopped &&
           state != VZVirtualMachineStateError;
}

/// What every framework offers: the guest is on a network of the host's, at the address that the host's DHCP server
/// gave it.
static void connect_by_lease(AppleVZMachine *owner, VZVirtualMachine *machine, uint16_t port, AppleVZOperation *result,
                             void (^done)(void)) {
    NSError *error = nil;
    NSString *mac_address = mac_address_of(owner, machine, &error);
    if (error == nil && machine.state != VZVirtualMachineStateRunning)
        error = not_running();
    if (error != nil) {
        [result completeWithError:error];
        done();
        return;
    }
    AppleVZLeasedConnection *connection = [[AppleVZLeasedConnection alloc] initWithLeases:Leases
                                                                               macAddress:mac_address
                                                                                     port:port];
    // No block that waits keeps the machine.
    __weak AppleVZMachine *weak_owner = owner;
    __weak VZVirtualMachine *weak_machine = machine;
    connection.later = ^(unsigned milliseconds, void (^block)(void), void (^failed)(NSError *)) {
        [weak_owner after:milliseconds perform:block failed:failed];
    };
    connection.isWanted = ^BOOL {
        VZVirtualMachine *asked = weak_machine;
        if (asked != nil && !has_guest(asked.state))
            [result completeWithError:not_running()];
        return !result.completed && !result.abandoned;
    };
    connection.completion = ^(int descriptor, NSError *_Nullable failure) {
        if (descriptor >= 0)
            [result completeWithDescriptor:descriptor];
        else if (failure != nil)
            [result completeWithError:failure];
        done();
    };
    [connection begin];
}

CFErrorRef applevz_machine_connect(applevz_machine *machine, uint16_t port, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        if (port == 0)
            return applevz_invalid_argument(@"Invalid port.", @"port is 0, which no service has.",
                                            @"Give a number from 1 to 65535.");
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        *operation = applevz_hand_over_handle(
            [owner request:^(VZVirtualMachine *object, AppleVZOperation *result, void (^done)(void)) {
                if (![object respondsToSelector:@selector(applevzConnectToPort:whileWanted:completionHandler:)]) {
                    connect_by_lease(owner, object, port, result, done);
                    return;
                }
                [(id<AppleVZConnections>)object applevzConnectToPort:port
                    whileWanted:^BOOL {
                        return !result.abandoned;
                    }
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
