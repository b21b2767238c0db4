// SPDX-License-Identifier: Apache-2.0
#import "machine/VZVirtualMachine+Private.h"

@implementation VZVirtioConsolePortArray {
    NSDictionary<NSNumber *, VZVirtioConsolePort *> *_ports;
}

- (instancetype)initWithPorts:(NSDictionary<NSNumber *, VZVirtioConsolePort *> *)ports
             maximumPortCount:(uint32_t)maximumPortCount {
    self = [super init];
    if (self != nil) {
        _ports = [ports copy];
        _maximumPortCount = maximumPortCount;
    }
    return self;
}

- (VZVirtioConsolePort *)objectAtIndexedSubscript:(NSUInteger)portIndex {
    return _ports[@(portIndex)];
}

@end
