// SPDX-License-Identifier: Apache-2.0
#import "host/HostTap.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"

@implementation VZBridgedNetworkDeviceAttachment

- (instancetype)initWithInterface:(VZBridgedNetworkInterface *)interface {
    if ((self = [super initForSubclass])) {
        _interface = interface;
    }
    return self;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    NSString *name = self.interface.identifier;
    if (!name || !HostIsBridge(name)) {
        return VZRefuse(error, VZInvalidConfigurationError(
                                   [NSString stringWithFormat:@"%@.interface is %@, which is no bridge of this host.",
                                                              property, name ? VZQuoted(name) : @"nil"],
                                   @"Take one from VZBridgedNetworkInterface.networkInterfaces, as it is now.", nil));
    }
    NSError *missing = HostTapMissingError();
    if (!missing) {
        return YES;
    }
    return VZRefuse(error,
                    VZErrorWithReason(VZErrorNotSupported, nil,
                                      [NSString stringWithFormat:@"%@.interface is %@. %@", property, VZQuoted(name),
                                                                 missing.localizedFailureReason],
                                      missing.localizedRecoverySuggestion, missing.userInfo[NSUnderlyingErrorKey]));
}

@end
