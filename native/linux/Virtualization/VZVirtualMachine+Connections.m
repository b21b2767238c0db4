// SPDX-License-Identifier: Apache-2.0
#import "QEMU/QEMUNetwork.h"
#import "QEMU/QEMUPortConnection.h"
#import "VZErrors+Private.h"
#import "VZVirtualMachine+Private.h"

@implementation VZVirtualMachine (Connections)

- (NSString *)firstNATNetwork {
    NSUInteger index = 0;
    for (VZNetworkDevice *device in self.networkDevices) {
        if ([device.attachment isKindOfClass:[VZNATNetworkDeviceAttachment class]])
            return QEMUNameOfNetwork(index);
        index++;
    }
    return nil;
}

- (void)applevzConnectToPort:(uint16_t)port completionHandler:(void (^)(int descriptor, NSError *_Nullable error))handler {
    [self checkQueue];
    NSString *network = [self firstNATNetwork];
    NSError *error = nil;
    if (network == nil)
        error = VZErrorWithReason(VZErrorNotSupported, @"The guest cannot be connected to.",
                                  @"Its machine has no network card with a VZNATNetworkDeviceAttachment.",
                                  @"Add one to networkDevices of the configuration.", nil);
    else if (self.state != VZVirtualMachineStateRunning)
        error = VZErrorWithReason(VZErrorInvalidVirtualMachineState, @"Invalid virtual machine state.",
                                  [NSString stringWithFormat:@"connect: the virtual machine is %@.",
                                                             VZNameOfState(self.state)],
                                  @"Its guest can be connected to when it is running.", nil);
    if (error == nil) {
        QEMUConnectToPort(_instance, network, port, handler);
        return;
    }
    dispatch_async(self.queue, ^{
        handler(-1, error);
    });
}

@end
