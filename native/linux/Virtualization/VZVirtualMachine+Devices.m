// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Private.h"

@implementation VZVirtualMachine (Devices)

- (NSArray<id<VZRuntimeDevice>> *)devicesOfConfiguration {
    NSMutableArray<id<VZRuntimeDevice>> *devices = [NSMutableArray array];
    for (NSUInteger i = 0; i < _configuration.memoryBalloonDevices.count; i++)
        [devices addObject:[[VZVirtioTraditionalMemoryBalloonDevice alloc]
                               initWithMemorySize:_configuration.memorySize]];
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

- (NSArray<VZMemoryBalloonDevice *> *)memoryBalloonDevices {
    return [self devicesOfClass:[VZMemoryBalloonDevice class]];
}

@end
