// SPDX-License-Identifier: Apache-2.0
#import "QEMUCommandLine+Private.h"
#import "../VZConfiguration+Private.h"

@implementation QEMUCommandLine (USB)

/// A port is for fast devices and for slow ones: two sockets of the controller with one number, of which a device takes that
/// of its speed.
- (void)addUSBController:(NSString *)identifier {
    [self addPCIDevice:@"qemu-xhci"
            properties:@{
                @"id" : identifier,
                @"p2" : @(VZUSBMaximumDeviceCount),
                @"p3" : @(VZUSBMaximumDeviceCount),
            }];
}

- (void)addUSBDevice:(NSString *)driver properties:(NSDictionary *)properties {
    static NSString *const controller = @"usb";
    if (_USBDeviceCount++ == 0)
        [self addUSBController:controller];
    NSMutableDictionary *device = [properties mutableCopy];
    device[@"driver"] = driver;
    device[@"bus"] = [controller stringByAppendingString:@".0"];
    // Named: otherwise QEMU puts a hub in front of the last free port.
    device[@"port"] = [NSString stringWithFormat:@"%lu", (unsigned long)_USBDeviceCount];
    [self add:@"-device" value:QEMUOptionOfObject(device)];
}

@end
