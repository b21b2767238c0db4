// SPDX-License-Identifier: Apache-2.0
#import "QEMUCommandLine+Private.h"

NSString *QEMUNameOfNetwork(NSUInteger index) {
    return [NSString stringWithFormat:@"network%lu", (unsigned long)index];
}

@implementation QEMUCommandLine (NetworkDevices)

- (BOOL)addNetworkDevices:(NSArray<VZNetworkDeviceConfiguration *> *)devices error:(NSError **)error {
    NSUInteger index = 0;
    for (VZNetworkDeviceConfiguration *device in devices)
        if (![self addNetworkDevice:device index:index++ error:error])
            return NO;
    return YES;
}

/// The network behind a card; nil, with an error, where its descriptor cannot be handed over.
- (NSDictionary *)networkOf:(VZNetworkDeviceAttachment *)attachment index:(NSUInteger)index error:(NSError **)error {
    if (![attachment isKindOfClass:[VZFileHandleNetworkDeviceAttachment class]])
        return @{@"type" : @"user"};
    NSError *cause = nil;
    int number = [(VZFileHandleNetworkDeviceAttachment *)attachment fileHandle].fileDescriptor;
    QEMUDescriptor *socket = [QEMUDescriptor duplicateOf:number error:&cause];
    if (socket == nil) {
        QEMUCannotOpen(error, [NSString stringWithFormat:@"networkDevices[%lu].attachment.fileHandle", (unsigned long)index],
                       cause);
        return nil;
    }
    NSString *descriptor = [NSString stringWithFormat:@"%lu", (unsigned long)[self inherit:socket]];
    return @{@"type" : @"dgram", @"local" : @{@"type" : @"fd", @"str" : descriptor}};
}

- (BOOL)addNetworkDevice:(VZNetworkDeviceConfiguration *)device index:(NSUInteger)index error:(NSError **)error {
    NSMutableDictionary *properties = [NSMutableDictionary dictionaryWithObject:device.MACAddress.string forKey:@"mac"];
    // Without an attachment the guest has the card, with no cable in it.
    if (device.attachment != nil) {
        NSString *identifier = QEMUNameOfNetwork(index);
        NSMutableDictionary *network = [[self networkOf:device.attachment index:index error:error] mutableCopy];
        if (network == nil)
            return NO;
        network[@"id"] = identifier;
        [self add:@"-netdev" value:QEMUOptionOfObject(network)];
        properties[@"netdev"] = identifier;
        if ([device.attachment isKindOfClass:[VZFileHandleNetworkDeviceAttachment class]]) {
            NSInteger unit = [(VZFileHandleNetworkDeviceAttachment *)device.attachment maximumTransmissionUnit];
            // What every guest takes for granted is not worth a word.
            if (unit != 1500)
                properties[@"host_mtu"] = @(unit);
        }
    }
    if (!_microvm)
        properties[@"romfile"] = @"";
    if (!_isExchangeable) {
        [self addDevice:@"virtio-net" properties:properties];
        return YES;
    }
    properties[@"id"] = [NSString stringWithFormat:@"network-card%lu", (unsigned long)index];
    [_networkCards addObject:[self addExchangeableDevice:@"virtio-net" properties:properties]];
    return YES;
}

@end
