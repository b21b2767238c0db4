// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "configuration/storage/VZNamedStorageDeviceAttachment+Private.h"
#import "devices/VZUSBController+Private.h"
#import "devices/VZVirtioSocketDevice+Private.h"
#import "VZVirtualMachine+Private.h"

@implementation VZVirtualMachine (Devices)

- (NSArray<id<VZRuntimeDevice>> *)devicesOfConfiguration {
    NSMutableArray<id<VZRuntimeDevice>> *devices = [NSMutableArray array];
    __weak VZVirtualMachine *weak_self = self;
    NSUInteger index = 0;
    for (VZConsoleDeviceConfiguration *configuration in _configuration.consoleDevices)
        [devices addObject:[[VZVirtioConsoleDevice alloc]
                               initWithIndex:index++
                               configuration:(VZVirtioConsoleDeviceConfiguration *)configuration]];
    index = 0;
    for (VZNetworkDeviceConfiguration *configuration in _configuration.networkDevices) {
        VZNetworkDevice *device = [[VZNetworkDevice alloc] initWithIndex:index++
                                                              attachment:configuration.attachment
                                                                   queue:self.queue];
        device.disconnectionHandler = ^(VZNetworkDevice *disconnected, NSError *error) {
            VZVirtualMachine *machine = weak_self;
            id<VZVirtualMachineDelegate> delegate = machine.delegate;
            if ([delegate
                    respondsToSelector:@selector(virtualMachine:networkDevice:attachmentWasDisconnectedWithError:)])
                [delegate virtualMachine:machine networkDevice:disconnected attachmentWasDisconnectedWithError:error];
        };
        [devices addObject:device];
    }
    index = 0;
    for (VZStorageDeviceConfiguration *configuration in _configuration.storageDevices) {
        NSString *node = QEMUNameOfDisk(index++);
        if ([configuration.attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
            [devices
                addObject:[[QEMUNetworkDiskWatch alloc]
                              initWithAttachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)configuration.attachment
                                            node:node]];
    }
    index = 0;
    for (VZDirectorySharingDeviceConfiguration *configuration in _configuration.directorySharingDevices)
        [devices addObject:[[VZVirtioFileSystemDevice alloc]
                               initWithIndex:index++
                               configuration:(VZVirtioFileSystemDeviceConfiguration *)configuration]];
    index = 0;
    for (VZUSBControllerConfiguration *configuration in _configuration.usbControllers)
        [devices addObject:[[VZXHCIController alloc] initWithMachine:self
                                                               index:index++
                                                       configuration:configuration
                                                               queue:self.queue]];
    for (NSUInteger i = 0; i < _configuration.memoryBalloonDevices.count; i++)
        [devices
            addObject:[[VZVirtioTraditionalMemoryBalloonDevice alloc] initWithMemorySize:_configuration.memorySize]];
    for (VZVirtioGraphicsDeviceConfiguration *configuration in _configuration.graphicsDevices)
        [devices addObject:[[VZVirtioGraphicsDevice alloc] initWithConfiguration:configuration]];
    for (NSUInteger i = 0; i < _configuration.socketDevices.count; i++)
        [devices addObject:[[VZVirtioSocketDevice alloc] initWithQueue:self.queue]];
    return devices;
}

/// Those of one kind, in their order.
- (NSArray *)devicesOfClass:(Class)class {
    [self checkQueue];
    NSMutableArray *devices = [NSMutableArray array];
    for (id<VZRuntimeDevice> device in _devices)
        if ([device isKindOfClass:class])
            [devices addObject:device];
    return devices;
}

- (NSArray<VZConsoleDevice *> *)consoleDevices {
    return [self devicesOfClass:[VZConsoleDevice class]];
}

- (NSArray<VZDirectorySharingDevice *> *)directorySharingDevices {
    return [self devicesOfClass:[VZDirectorySharingDevice class]];
}

- (NSArray<VZNetworkDevice *> *)networkDevices {
    return [self devicesOfClass:[VZNetworkDevice class]];
}

- (NSArray<VZGraphicsDevice *> *)graphicsDevices {
    return [self devicesOfClass:[VZGraphicsDevice class]];
}

- (NSArray<VZSocketDevice *> *)socketDevices {
    return [self devicesOfClass:[VZSocketDevice class]];
}

- (NSArray<VZMemoryBalloonDevice *> *)memoryBalloonDevices {
    return [self devicesOfClass:[VZMemoryBalloonDevice class]];
}

- (NSArray<VZUSBController *> *)usbControllers {
    return [self devicesOfClass:[VZUSBController class]];
}

- (NSError *)errorOfExchangingDevices:(NSString *)verb {
    VZVirtualMachineState state = self.state;
    // QEMU has closed the disks of a machine that was saved until it goes on.
    BOOL isSaved = _isHandedOver || _stream != nil;
    if ((state == VZVirtualMachineStateRunning || state == VZVirtualMachineStatePaused) && !isSaved)
        return nil;
    if (isSaved)
        return VZErrorWithReason(VZErrorInvalidVirtualMachineState, nil,
                                 @"The virtual machine is saved, and has not run since.", @"Resume it first.", nil);
    return VZInvalidStateError(state, [NSString stringWithFormat:@"%@ing a device", verb],
                               [NSString stringWithFormat:@"Devices can be %@ed when it is running or paused.", verb]);
}

- (NSArray<VZUSBMassStorageDevice *> *)allUSBDevices {
    NSMutableArray<VZUSBMassStorageDevice *> *devices = [NSMutableArray array];
    for (VZUSBController *controller in self.usbControllers)
        [devices addObjectsFromArray:controller.allDevices];
    return devices;
}

- (NSArray<VZNamedStorageDeviceAttachment *> *)allStorageAttachments {
    NSMutableArray<VZNamedStorageDeviceAttachment *> *attachments = [NSMutableArray array];
    NSUInteger index = 0;
    for (VZStorageDeviceConfiguration *device in _configuration.storageDevices)
        [attachments
            addObject:[[VZNamedStorageDeviceAttachment alloc]
                          initWithName:[NSString stringWithFormat:@"storageDevices[%lu]", (unsigned long)index++]
                            attachment:device.attachment]];
    for (VZUSBController *controller in self.usbControllers)
        [attachments addObjectsFromArray:controller.storageAttachments];
    return attachments;
}

- (NSString *)reasonAgainstSavingDevices {
    for (VZUSBController *controller in self.usbControllers) {
        NSString *reason = controller.reasonAgainstSaving;
        if (reason != nil)
            return reason;
    }
    for (QEMUCarriedDisk *disk in _instance.commandLine.carriedDisks)
        if (disk.layers.count > QEMU_MAXIMUM_LAYER_COUNT)
            return [NSString stringWithFormat:@"%@ has %lu overlays, one for each time that it was restored privately, "
                                              @"and a saved state holds at most %d.",
                                              disk.name, (unsigned long)disk.layers.count, QEMU_MAXIMUM_LAYER_COUNT];
    return nil;
}

@end
