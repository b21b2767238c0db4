// SPDX-License-Identifier: Apache-2.0
#import "boundary/entitlements.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/missing_capabilities.h"
#import "boundary/ownership.h"
#import "boundary/text.h"
#import "applevz.h"
#import "applevz_extensions.h"
#import <Virtualization/Virtualization.h>

NSError *applevz_bridged_networks_missing(void) {
    Class<AppleVZBridging> extensions = (Class)[VZBridgedNetworkInterface class];
    if ([VZBridgedNetworkInterface respondsToSelector:@selector(applevzBridgingError)])
        return [extensions applevzBridgingError];
    NSError *refusal = applevz_process_refusal_of_bridges();
    if (refusal != nil || VZBridgedNetworkInterface.networkInterfaces.count > 0)
        return refusal;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"Machines cannot be connected to a network of this host.",
                         @"The virtualization framework lists no interface for it.",
                         @"Use a NATNetworkDeviceAttachment.");
}

CFErrorRef applevz_bridged_network_interfaces(char **texts, size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        NSMutableData *data = [NSMutableData data];
        for (VZBridgedNetworkInterface *interface in VZBridgedNetworkInterface.networkInterfaces)
            for (NSString *text in @[ interface.identifier, interface.localizedDisplayName ?: @"" ]) {
                [data appendData:(NSData *)[text dataUsingEncoding:NSUTF8StringEncoding]];
                [data appendBytes:"" length:1];
            }
        *texts = applevz_copy_data(data, length);
        return nil;
    });
}

CFErrorRef
applevz_network_device_attachment_create_with_bridged_interface(const char *identifier, size_t identifier_length,
                                                                applevz_network_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSString *name = applevz_text(identifier, identifier_length, @"interface", &error);
        if (error != nil)
            return error;
        NSMutableArray<NSString *> *names = [NSMutableArray array];
        for (VZBridgedNetworkInterface *interface in VZBridgedNetworkInterface.networkInterfaces) {
            if ([interface.identifier isEqualToString:name]) {
                *attachment =
                    applevz_hand_over_handle([[VZBridgedNetworkDeviceAttachment alloc] initWithInterface:interface]);
                return nil;
            }
            [names addObject:interface.identifier];
        }
        NSError *missing = applevz_bridged_networks_missing();
        if (names.count == 0 && missing != nil)
            // A description may have the reason in it; the failure alone, where there is one, has not.
            return applevz_error(
                missing.domain, missing.code,
                missing.userInfo[NSLocalizedFailureErrorKey] ?: missing.localizedDescription,
                [NSString stringWithFormat:@"interface is \"%@\". %@", name, missing.localizedFailureReason],
                missing.localizedRecoverySuggestion);
        return applevz_invalid_argument(
            @"There is no such interface.",
            [NSString stringWithFormat:@"interface is \"%@\", which is none that a machine can be connected to.", name],
            [NSString stringWithFormat:@"The host has %@.", [names componentsJoinedByString:@", "]]);
    });
}
