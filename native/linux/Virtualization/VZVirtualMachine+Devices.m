// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Private.h"

@implementation VZVirtualMachine (Devices)

- (NSArray<id<VZRuntimeDevice>> *)devicesOfConfiguration {
    NSMutableArray<id<VZRuntimeDevice>> *devices = [NSMutableArray array];
    __weak VZVirtualMachine *weak_self = self;
    NSUInteger index = 0;
    for (VZNetworkDeviceConfiguration *configuration in _configuration.networkDevices) {
        VZNetworkDevice *device = [[VZNetworkDevice alloc] initWithIndex:index++ attachment:configuration.attachment];
        device.disconnectionHandler = ^(VZNetworkDevice *disconnected, NSError *error) {
            VZVirtualMachine *machine = weak_self;
            id<VZVirtualMachineDelegate> delegate = machine.delegate;
            if ([delegate respondsToSelector:@selector(virtualMachine:networkDevice:attachmentWasDisconnectedWithError:)])
                [delegate virtualMachine:machine networkDevice:disconnected attachmentWasDisconnectedWithError:error];
        };
        [devices addObject:device];
    }
    index = 0;
    for (VZStorageDeviceConfiguration *configuration in _configuration.storageDevices) {
        NSString *node = QEMUNameOfDisk(index++);
        if ([configuration.attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
            [devices addObject:[[QEMUNetworkDiskWatch alloc]
                                   initWithAttachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)configuration.attachment
                                                 node:node]];
    }
    index = 0;
    for (VZDirectorySharingDeviceConfiguration *configuration in _configuration.directorySharingDevices)
        [devices addObject:[[VZVirtioFileSystemDevice alloc]
                               initWithIndex:index++
                               configuration:(VZVirtioFileSystemDeviceConfiguration *)configuration]];
    for (NSUInteger i = 0; i < _configuration.memoryBalloonDevices.count; i++)
        [devices addObject:[[VZVirtioTraditionalMemoryBalloonDevice alloc]
                               initWithMemorySize:_configuration.memorySize]];
    for (VZVirtioGraphicsDeviceConfiguration *configuration in _configuration.graphicsDevices)
        [devices addObject:[[VZVirtioGraphicsDevice alloc] initWithConfiguration:configuration]];
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

- (NSArray<VZDirectorySharingDevice *> *)directorySharingDevices {
    return [self devicesOfClass:[VZDirectorySharingDevice class]];
}

- (NSArray<VZNetworkDevice *> *)networkDevices {
    return [self devicesOfClass:[VZNetworkDevice class]];
}

- (NSArray<VZGraphicsDevice *> *)graphicsDevices {
    return [self devicesOfClass:[VZGraphicsDevice class]];
}

- (NSArray<VZMemoryBalloonDevice *> *)memoryBalloonDevices {
    return [self devicesOfClass:[VZMemoryBalloonDevice class]];
}

@end
