// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "QEMU/program/VZVirtualMachine+Host.h"

@implementation VZVirtualMachineConfiguration (DirectorySharing)

- (BOOL)validateDirectorySharingWithError:(NSError **)error {
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
            return VZRefuse(
                error,
                VZInvalidConfigurationError(
                    [NSString stringWithFormat:
                                  @"directorySharingDevices[%lu].tag is %@, as is directorySharingDevices[%lu].tag.",
                                  (unsigned long)i, VZQuoted(tags[i]), (unsigned long)earlier],
                    @"Give each directory sharing device a tag of its own.", nil));
        }
    }
    return YES;
}

@end
