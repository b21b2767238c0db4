// SPDX-License-Identifier: Apache-2.0
#import "QEMU/network/QEMUNetwork.h"
#import "QEMU/network/QEMUPortConnection.h"
#import "support/VZErrors+Private.h"
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

- (void)applevzConnectToPort:(uint16_t)port
                 whileWanted:(BOOL (^)(void))isWanted
           completionHandler:(void (^)(int descriptor, NSError *_Nullable error))handler {
    [self checkQueue];
    NSString *network = [self firstNATNetwork];
    NSError *error = nil;
    if (network == nil)
        error = VZErrorWithReason(VZErrorNotSupported, @"The guest cannot be connected to.",
                                  @"Its machine has no network card with a VZNATNetworkDeviceAttachment.",
                                  @"Add one to networkDevices of the configuration.", nil);
    else if (self.state != VZVirtualMachineStateRunning)
        error = VZInvalidStateError(self.state, @"connecting to its guest",
                                    @"A guest can be connected to when it is running.");
    if (error == nil) {
        QEMUConnectToPort(_instance, network, port, isWanted, handler);
        return;
    }
    dispatch_async(self.queue, ^{
        handler(-1, error);
    });
}

@end
