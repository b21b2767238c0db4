// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "QEMUCommandLine+Private.h"
#import "QEMU/network/QEMUNetwork.h"

@implementation QEMUCommandLine (NetworkDevices)

- (BOOL)addNetworkDevices:(NSArray<VZNetworkDeviceConfiguration *> *)devices error:(NSError **)error {
    NSUInteger index = 0;
    for (VZNetworkDeviceConfiguration *device in devices)
        if (![self addNetworkDevice:device index:index++ error:error])
            return NO;
    return YES;
}

- (BOOL)addNetwork:(VZNetworkDeviceAttachment *)attachment index:(NSUInteger)index error:(NSError **)error {
    QEMUNetwork *network = [QEMUNetwork networkOf:attachment index:index askingHelper:YES error:error];
    if (network == nil)
        return NO;
    if (network.interfaceName != nil)
        _networkInterfaces[@(index)] = network.interfaceName;
    NSString *descriptor = nil;
    if (network.descriptor != nil)
        descriptor = [NSString stringWithFormat:@"%lu", (unsigned long)[self inherit:network.descriptor]];
    [self add:@"-netdev" value:QEMUOptionOfObject([network optionsWithDescriptor:descriptor])];
    [self add:@"-netdev" value:QEMUOptionOfObject(QEMUCardPort(index))];
    [self add:@"-netdev" value:QEMUOptionOfObject(QEMUNetworkPort(index))];
    return YES;
}

- (BOOL)addNetworkDevice:(VZNetworkDeviceConfiguration *)device index:(NSUInteger)index error:(NSError **)error {
    NSMutableDictionary *properties = [NSMutableDictionary dictionaryWithObject:device.MACAddress.string forKey:@"mac"];
    if (![self addNetwork:device.attachment index:index error:error])
        return NO;
    properties[@"netdev"] = QEMUNameOfCardPort(index);
    // What every guest takes for granted is not worth a word.
    if (device.attachment.frameCapacity != 1500)
        properties[@"host_mtu"] = @(device.attachment.frameCapacity);
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
