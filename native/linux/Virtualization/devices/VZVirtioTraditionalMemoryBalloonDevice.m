// SPDX-License-Identifier: Apache-2.0
#import "machine/VZVirtualMachine+Private.h"

static const uint64_t mebibyte = 1 << 20;

@implementation VZVirtioTraditionalMemoryBalloonDevice {
    QEMUInstance *_instance;
    uint64_t _memorySize;
    uint64_t _target;
}

- (instancetype)initWithMemorySize:(uint64_t)memorySize {
    self = [super initForSubclass];
    if (self != nil) {
        _memorySize = memorySize;
        _target = memorySize;
    }
    return self;
}

- (uint64_t)targetVirtualMachineMemorySize {
    return _target;
}

- (void)setTargetVirtualMachineMemorySize:(uint64_t)target {
    uint64_t minimum = VZVirtualMachineConfiguration.minimumAllowedMemorySize;
    _target = MAX(MIN(target / mebibyte * mebibyte, _memorySize), minimum);
    [self tellTarget];
}

- (void)tellTarget {
    [_instance execute:@"balloon"
             arguments:@{@"value" : @(_target)}
            completion:^(id result, NSError *refusal) {
                (void)result;
                (void)refusal; // a guest without the driver has no balloon to set
            }];
}

/// The target holds anew for each guest.
- (void)instanceReady:(QEMUInstance *)instance {
    _instance = instance;
    if (_target < _memorySize)
        [self tellTarget];
}

- (void)instanceEnded {
    _instance = nil;
}

@end
