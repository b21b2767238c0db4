// SPDX-License-Identifier: Apache-2.0
#import "QEMUCommandLine+Private.h"
#import "QEMU/program/QEMUSocketTransport.h"

@implementation QEMUCommandLine (SocketDevices)

/// The device of the host's kernel is opened here, so that the guest's number is known to be its own before there is a
/// guest.
- (BOOL)addSocketDevices:(NSArray<VZSocketDeviceConfiguration *> *)devices error:(NSError **)error {
    for (NSUInteger index = 0; index < devices.count; index++) {
        NSError *cause = nil;
        uint32_t guest = 0;
        HostDescriptor *descriptor = [QEMUSocketTransport.current deviceForNewGuest:&guest error:&cause];
        if (descriptor == nil) {
            QEMUCannotOpen(error, [NSString stringWithFormat:@"socketDevices[%lu]", (unsigned long)index], cause);
            return NO;
        }
        _socketGuest = guest;
        [self addDevice:@"vhost-vsock"
             properties:@{
                 @"guest-cid" : @(guest),
                 @"vhostfd" : [NSString stringWithFormat:@"%lu", (unsigned long)[self inherit:descriptor]],
             }];
    }
    return YES;
}

@end
