// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "VZErrors+Private.h"
#import "VZHostFile+Private.h"
#import "VZVirtualMachine+Private.h"

@implementation VZVirtualMachineConfiguration (DirectorySharing)

- (NSError *)directorySharingSaveError
{
    if (self.directorySharingDevices.count == 0) {
        return nil;
    }
    VZVirtioFileSystemDeviceConfiguration *device = (VZVirtioFileSystemDeviceConfiguration *)self.directorySharingDevices[0];
    return VZErrorWithReason(
        VZErrorInvalidVirtualMachineConfiguration, @"A machine of this configuration cannot be saved.",
        [NSString stringWithFormat:@"directorySharingDevices[0] (tag %@) is a %@, whose state, that of the process which "
                                   @"serves it too, QEMU does not save.", VZQuoted(device.tag), [device class]],
        @"Take the directory sharing devices out of the configuration.", nil);
}

- (BOOL)validateDirectorySharingWithError:(NSError **)error
{
    if (self.directorySharingDevices.count == 0) {
        return YES;
    }
    NSError *missing = [VZVirtualMachine applevzDirectorySharingError];
    if (missing) {
        return VZRefuse(error, missing);
    }
    if (![self validateParts:self.directorySharingDevices
                          as:@"directorySharingDevices"
                       class:[VZDirectorySharingDeviceConfiguration class]
                       error:error]) {
        return NO;
    }
    NSArray<NSString *> *tags = [self.directorySharingDevices valueForKey:@"tag"];
    for (NSUInteger i = 0; i < tags.count; i++) {
        NSUInteger earlier = [tags indexOfObject:tags[i]];
        if (earlier < i) {
            return VZRefuse(error, VZInvalidConfigurationError(
                [NSString stringWithFormat:@"directorySharingDevices[%lu].tag is %@, as is directorySharingDevices[%lu].tag.",
                                           (unsigned long)i, VZQuoted(tags[i]), (unsigned long)earlier],
                @"Give each directory sharing device a tag of its own.", nil));
        }
    }
    return YES;
}

@end
