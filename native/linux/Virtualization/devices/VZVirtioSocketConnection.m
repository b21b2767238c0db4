// SPDX-License-Identifier: Apache-2.0
#import "VZVirtioSocketDevice+Private.h"
#import <stdatomic.h>
#import <unistd.h>

@implementation VZVirtioSocketConnection {
    _Atomic(int) _descriptor;
}

- (instancetype)initWithDescriptor:(int)descriptor
                        sourcePort:(uint32_t)sourcePort
                   destinationPort:(uint32_t)destinationPort {
    self = [super init];
    if (self != nil) {
        atomic_init(&_descriptor, descriptor);
        _sourcePort = sourcePort;
        _destinationPort = destinationPort;
    }
    return self;
}

- (void)dealloc {
    [self close];
}

- (int)fileDescriptor {
    return atomic_load(&_descriptor);
}

/// Whoever comes first closes it: another time it would be somebody else's.
- (void)close {
    int descriptor = atomic_exchange(&_descriptor, -1);
    if (descriptor >= 0)
        close(descriptor);
}

@end
