// SPDX-License-Identifier: Apache-2.0
#import "QEMUNetwork.h"
#import "QEMU/command_line/QEMUCommandLine+Private.h"
#import "configuration/VZConfiguration+Private.h"
#import "host/HostTap.h"

NSString *QEMUNameOfCardPort(NSUInteger index) {
    return [NSString stringWithFormat:@"network%lu-card", (unsigned long)index];
}

NSString *QEMUNameOfNetwork(NSUInteger index) {
    return [NSString stringWithFormat:@"network%lu", (unsigned long)index];
}

NSString *QEMUNameOfNetworkPort(NSUInteger index) {
    return [NSString stringWithFormat:@"network%lu-port", (unsigned long)index];
}

NSDictionary *QEMUCardPort(NSUInteger index) {
    return @{@"type" : @"hubport", @"id" : QEMUNameOfCardPort(index), @"hubid" : @(index)};
}

NSDictionary *QEMUNetworkPort(NSUInteger index) {
    return @{
        @"type" : @"hubport",
        @"id" : QEMUNameOfNetworkPort(index),
        @"hubid" : @(index),
        @"netdev" : QEMUNameOfNetwork(index),
    };
}

@implementation QEMUNetwork {
    NSString *_type;
    NSUInteger _index;
    BOOL _isIsolated;
}

+ (instancetype)networkOf:(VZNetworkDeviceAttachment *)attachment
                    index:(NSUInteger)index
             askingHelper:(BOOL)askingHelper
                    error:(NSError **)error {
    QEMUNetwork *network = [[self alloc] init];
    network->_index = index;
    network->_type = @"user";
    if ([attachment isKindOfClass:[VZFileHandleNetworkDeviceAttachment class]]) {
        NSError *cause = nil;
        int number = [(VZFileHandleNetworkDeviceAttachment *)attachment fileHandle].fileDescriptor;
        network->_type = @"dgram";
        network->_descriptor = [HostDescriptor duplicateOf:number error:&cause];
        if (network.descriptor == nil) {
            NSString *property =
                [NSString stringWithFormat:@"networkDevices[%lu].attachment.fileHandle", (unsigned long)index];
            QEMUCannotOpen(error, property, cause);
            return nil;
        }
    } else if ([attachment isKindOfClass:[VZNATNetworkDeviceAttachment class]]) {
        network->_isIsolated = ![(VZNATNetworkDeviceAttachment *)attachment applevzHasInternet];
    } else if ([attachment isKindOfClass:[VZBridgedNetworkDeviceAttachment class]]) {
        network->_type = @"tap";
        NSString *bridge = [(VZBridgedNetworkDeviceAttachment *)attachment interface].identifier;
        network->_descriptor = HostOpenTap(bridge, askingHelper, error);
        if (network.descriptor == nil)
            return nil;
        network->_interfaceName = HostNameOfTap(network.descriptor);
    }
    return network;
}

- (NSDictionary *)optionsWithDescriptor:(NSString *)name {
    NSMutableDictionary *options = [NSMutableDictionary dictionary];
    options[@"type"] = _type;
    options[@"id"] = QEMUNameOfNetwork(_index);
    if ([_type isEqualToString:@"dgram"])
        options[@"local"] = @{@"type" : @"fd", @"str" : name ?: @""};
    else if ([_type isEqualToString:@"tap"])
        options[@"fd"] = name ?: @"";
    if (_isIsolated) {
        // What comes in by a forwarding, which is by IPv4, is let in and answered. By IPv6 the guest would still be
        // told of a router.
        options[@"restrict"] = @YES;
        options[@"ipv6"] = @NO;
    }
    return options;
}

@end
