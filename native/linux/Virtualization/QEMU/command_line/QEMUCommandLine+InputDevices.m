// SPDX-License-Identifier: Apache-2.0
#import "QEMUCommandLine+Private.h"

@implementation QEMUCommandLine (InputDevices)

- (void)addInputDevices:(VZVirtualMachineConfiguration *)configuration {
    if (configuration.keyboards.count > 0)
        [self addUSBDevice:@"usb-kbd" properties:@{}];
    if (configuration.pointingDevices.count > 0)
        [self addUSBDevice:@"usb-tablet" properties:@{}];
}

@end
