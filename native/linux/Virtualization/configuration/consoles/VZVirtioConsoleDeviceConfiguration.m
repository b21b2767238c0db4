// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZVirtioConsoleDeviceConfiguration

- (instancetype)init {
    if ((self = [super initForSubclass])) {
        _ports = [[VZVirtioConsolePortConfigurationArray alloc] initEmpty];
    }
    return self;
}

- (instancetype)initForSubclass {
    return [self init];
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtioConsoleDeviceConfiguration *copy = [super copyWithZone:zone];
    copy->_ports = [self.ports copy];
    return copy;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    VZVirtioConsolePortConfigurationArray *ports = self.ports;
    uint32_t maximum = ports.maximumPortCount;
    if (maximum > VZVirtioConsoleMaximumPortCount) {
        return VZRefuse(
            error,
            VZInvalidConfigurationError(
                [NSString stringWithFormat:@"%@.ports.maximumPortCount is %u.", property, maximum],
                [NSString stringWithFormat:@"A device has at most %d ports.", VZVirtioConsoleMaximumPortCount], nil));
    }
    NSMutableArray *seen = [[NSMutableArray alloc] init];
    for (NSNumber *place in ports.places) {
        NSString *name = [NSString stringWithFormat:@"%@.ports[%@]", property, place];
        id port = ports[place.unsignedIntegerValue];
        if (place.unsignedIntegerValue >= maximum) {
            return VZRefuse(
                error,
                VZInvalidConfigurationError(
                    [NSString stringWithFormat:@"%@ is beyond the device's last place: its maximumPortCount is %u.",
                                               name, maximum],
                    @"Give the device more places, or the port a lower one.", nil));
        }
        NSUInteger earlier = [seen indexOfObjectIdenticalTo:port];
        if (earlier != NSNotFound) {
            return VZRefuse(
                error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@ is the same object as %@.ports[%@].",
                                                                              name, property, ports.places[earlier]],
                                                   @"Make a configuration of its own for each port.", nil));
        }
        [seen addObject:port];
        if (![port isKindOfClass:[VZVirtioConsolePortConfiguration class]]) {
            return VZRefuseClass(port, name, @"VZVirtioConsolePortConfiguration", error);
        }
        if (![port validateAs:name error:error]) {
            return NO;
        }
    }
    return YES;
}

@end
