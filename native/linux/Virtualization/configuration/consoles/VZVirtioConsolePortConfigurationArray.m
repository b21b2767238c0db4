// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZVirtioConsolePortConfigurationArray {
    NSMutableDictionary<NSNumber *, VZVirtioConsolePortConfiguration *> *_ports;
    uint32_t _maximumPortCount;
    BOOL _hasMaximumPortCount;
}

- (instancetype)initEmpty {
    if ((self = [super init])) {
        _ports = [[NSMutableDictionary alloc] init];
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtioConsolePortConfigurationArray *array = [[[self class] allocWithZone:zone] initEmpty];
    array->_maximumPortCount = _maximumPortCount;
    array->_hasMaximumPortCount = _hasMaximumPortCount;
    // One copy for a port that is there twice: that is an error, and stays one in the copy.
    for (NSNumber *index in self.places) {
        VZVirtioConsolePortConfiguration *port = _ports[index];
        NSNumber *earlier = [self firstPlaceOf:port];
        array->_ports[index] = [earlier isEqual:index] ? [port copy] : array->_ports[earlier];
    }
    return array;
}

- (NSNumber *)firstPlaceOf:(VZVirtioConsolePortConfiguration *)port {
    for (NSNumber *index in self.places) {
        if (_ports[index] == port) {
            return index;
        }
    }
    return nil;
}

- (NSArray<NSNumber *> *)places {
    return [_ports.allKeys sortedArrayUsingSelector:@selector(compare:)];
}

- (uint32_t)maximumPortCount {
    if (_hasMaximumPortCount) {
        return _maximumPortCount;
    }
    NSUInteger last = [self.places.lastObject unsignedIntegerValue];
    return _ports.count == 0 ? 0 : last < UINT32_MAX ? (uint32_t)last + 1 : UINT32_MAX;
}

- (void)setMaximumPortCount:(uint32_t)count {
    _maximumPortCount = count;
    _hasMaximumPortCount = YES;
}

- (VZVirtioConsolePortConfiguration *)objectAtIndexedSubscript:(NSUInteger)portIndex {
    return _ports[@(portIndex)];
}

- (void)setObject:(VZVirtioConsolePortConfiguration *)configuration atIndexedSubscript:(NSUInteger)portIndex {
    if (configuration) {
        _ports[@(portIndex)] = configuration;
    } else {
        [_ports removeObjectForKey:@(portIndex)];
    }
}

@end
