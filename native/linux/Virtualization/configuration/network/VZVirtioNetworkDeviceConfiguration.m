// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"

@implementation VZVirtioNetworkDeviceConfiguration

- (instancetype)init {
    return [super initForSubclass];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    VZMACAddress *address = self.MACAddress;
    VZNetworkDeviceAttachment *attachment = self.attachment;
    NSString *wrong = nil;
    if (!address) {
        wrong = @"nil";
    } else if (address.isBroadcastAddress) {
        wrong = [address.string stringByAppendingString:@", the broadcast address"];
    } else if (address.isMulticastAddress) {
        wrong = [address.string stringByAppendingString:@", a multicast address"];
    } else if ([address.string isEqualToString:@"00:00:00:00:00:00"]) {
        // A Linux guest takes it for none and makes one up.
        wrong = [address.string stringByAppendingString:@", which stands for no address"];
    }
    if (wrong) {
        return VZRefuse(
            error, VZInvalidConfigurationError(
                       [NSString stringWithFormat:@"%@.MACAddress is %@.", property, wrong],
                       @"Use a unicast address, such as +[VZMACAddress randomLocallyAdministeredAddress] gives.", nil));
    }
    if (!attachment) {
        return VZRefuse(
            error, VZInvalidConfigurationError(
                       [NSString stringWithFormat:@"%@.attachment is nil.", property],
                       @"Set it to a VZNATNetworkDeviceAttachment, or take the device out of networkDevices.", nil));
    }
    return [attachment validateAs:[property stringByAppendingString:@".attachment"] error:error];
}

@end
