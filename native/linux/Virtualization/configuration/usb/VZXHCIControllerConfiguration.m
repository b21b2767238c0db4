// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZXHCIControllerConfiguration

- (instancetype)init {
    return [super initForSubclass];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSArray *devices = self.usbDevices;
    if (devices.count > VZUSBMaximumDeviceCount) {
        return VZRefuse(
            error,
            VZInvalidConfigurationError(
                [NSString stringWithFormat:@"%@.usbDevices has %lu devices.", property, (unsigned long)devices.count],
                [NSString stringWithFormat:@"A USB controller has %d ports.", VZUSBMaximumDeviceCount], nil));
    }
    for (NSUInteger i = 0; i < devices.count; i++) {
        NSString *name = [NSString stringWithFormat:@"%@.usbDevices[%lu]", property, (unsigned long)i];
        if (![devices[i] isKindOfClass:[VZUSBMassStorageDeviceConfiguration class]]) {
            return VZRefuseClass(devices[i], name, @"VZUSBMassStorageDeviceConfiguration", error);
        }
        if (![devices[i] validateAs:name error:error]) {
            return NO;
        }
    }
    return YES;
}

@end
