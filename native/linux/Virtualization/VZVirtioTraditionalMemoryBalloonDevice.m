// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Private.h"

static const uint64_t mebibyte = 1 << 20;

@implementation VZVirtioTraditionalMemoryBalloonDevice {
    __weak VZVirtualMachine *_machine;
    uint64_t _memorySize;
    uint64_t _target;
}

- (instancetype)initWithMachine:(VZVirtualMachine *)machine memorySize:(uint64_t)memorySize {
    self = [super initForSubclass];
    if (self != nil) {
        _machine = machine;
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
    [_machine setBalloonTarget:_target];
}

@end
