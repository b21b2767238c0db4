// SPDX-License-Identifier: Apache-2.0
#import "QEMU/sharing/QEMUFileServer.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "machine/VZVirtualMachine+Private.h"

@implementation VZVirtioFileSystemDevice {
    NSUInteger _index;
    VZVirtioFileSystemDeviceConfiguration *_configuration;
    QEMUFileServer *_server; // while the machine is there
}

- (instancetype)initWithIndex:(NSUInteger)index configuration:(VZVirtioFileSystemDeviceConfiguration *)configuration {
    self = [super initForSubclass];
    if (self != nil) {
        _index = index;
        _configuration = configuration;
    }
    return self;
}

- (NSString *)tag {
    return _configuration.tag;
}

- (VZDirectoryShare *)share {
    return _configuration.share;
}

- (void)setShare:(VZDirectoryShare *)share {
    NSError *error = nil;
    if (![self applevzSetShare:share error:&error])
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ setShare:]: %@", [self class], error.localizedFailureReason];
}

- (BOOL)applevzSetShare:(VZDirectoryShare *)share error:(NSError **)error {
    NSString *property = [NSString stringWithFormat:@"directorySharingDevices[%lu].share", (unsigned long)_index];
    if (share != nil && ![share validateAs:property error:error])
        return NO;
    if (_server != nil && ![_server changeToShare:share error:error])
        return NO;
    _configuration.share = share;
    return YES;
}

- (void)instanceBegins:(QEMUInstance *)instance {
    _server = instance.commandLine.fileServers[_index];
}

- (void)instanceEnded {
    _server = nil;
}

@end
