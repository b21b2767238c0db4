// SPDX-License-Identifier: Apache-2.0
#import "QEMUCommandLine+Private.h"

@implementation QEMUCommandLine (NetworkDevices)

- (void)addNetworkDevices:(NSArray<VZNetworkDeviceConfiguration *> *)devices {
    NSUInteger index = 0;
    for (VZNetworkDeviceConfiguration *device in devices)
        [self addNetworkDevice:device index:index++];
}

- (void)addNetworkDevice:(VZNetworkDeviceConfiguration *)device index:(NSUInteger)index {
    NSMutableDictionary *properties = [NSMutableDictionary dictionaryWithObject:device.MACAddress.string forKey:@"mac"];
    // Without an attachment the guest has the card, with no cable in it.
    if (device.attachment != nil) {
        NSString *identifier = [NSString stringWithFormat:@"network%lu", (unsigned long)index];
        [self add:@"-netdev" value:[@"user,id=" stringByAppendingString:identifier]];
        properties[@"netdev"] = identifier;
    }
    if (!_microvm)
        properties[@"romfile"] = @"";
    if (!_isExchangeable) {
        [self addDevice:@"virtio-net" properties:properties];
        return;
    }
    properties[@"id"] = [NSString stringWithFormat:@"network-card%lu", (unsigned long)index];
    [_networkCards addObject:[self addExchangeableDevice:@"virtio-net" properties:properties]];
}

@end
