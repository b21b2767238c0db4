// SPDX-License-Identifier: Apache-2.0
#import "QEMUCommandLine+Private.h"
#import "QEMU/sharing/QEMUFileServer.h"

@implementation QEMUCommandLine (DirectorySharing)

- (BOOL)addDirectorySharingDevices:(NSArray<VZDirectorySharingDeviceConfiguration *> *)devices error:(NSError **)error {
    NSUInteger index = 0;
    for (VZDirectorySharingDeviceConfiguration *configuration in devices) {
        VZVirtioFileSystemDeviceConfiguration *device = (VZVirtioFileSystemDeviceConfiguration *)configuration;
        QEMUFileServer *server = [[QEMUFileServer alloc] initWithIndex:index configuration:device error:error];
        if (server == nil)
            return NO;
        [_fileServers addObject:server];
        NSString *identifier = [NSString stringWithFormat:@"share%lu", (unsigned long)index++];
        [self add:@"-chardev"
            value:[NSString stringWithFormat:@"socket,id=%@,fd=%lu", identifier,
                                             (unsigned long)[self inherit:server.connection]]];
        [self addDevice:@"vhost-user-fs" properties:@{@"chardev" : identifier, @"tag" : device.tag}];
    }
    return YES;
}

@end
