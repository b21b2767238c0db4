// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "QEMUCommandLine+Private.h"

@implementation QEMUCommandLine (USBDevices)

/// A port is for fast devices and for slow ones: two sockets of the controller with one number, of which a device takes
/// that of its speed.
- (void)addUSBController:(NSString *)identifier {
    [self addPCIDevice:@"qemu-xhci"
            properties:@{
                @"id" : identifier,
                @"p2" : @(VZUSBMaximumDeviceCount),
                @"p3" : @(VZUSBMaximumDeviceCount),
            }];
}

- (BOOL)addUSBControllers:(NSArray<VZUSBControllerConfiguration *> *)controllers error:(NSError **)error {
    for (NSUInteger i = 0; i < controllers.count; i++) {
        NSMutableArray<QEMUUSBDisk *> *disks = [NSMutableArray array];
        [self addUSBController:QEMUNameOfUSBController(i)];
        [_disksOfUSBControllers addObject:disks];
        for (VZUSBMassStorageDeviceConfiguration *device in controllers[i].usbDevices) {
            NSUInteger port = disks.count + 1;
            QEMUUSBDisk *disk = [[QEMUUSBDisk alloc] initWithConfiguration:device controller:i port:port];
            NSString *property = [NSString stringWithFormat:@"usbControllers[%lu].usbDevices[%lu].attachment",
                                                            (unsigned long)i, (unsigned long)disks.count];
            NSArray<NSNumber *> *sets = nil;
            if (![self addBlockNode:disk.node of:device.attachment as:property sets:&sets error:error])
                return NO;
            disk.descriptorSets = sets;
            for (NSDictionary *properties in disk.devices)
                [self add:@"-device" value:QEMUOptionOfObject(properties)];
            [disks addObject:disk];
        }
    }
    return YES;
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
