// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "errors.h"
#import "guard.h"
#import "ownership.h"
#import "platform.h"
#import "text.h"
#import <Virtualization/Virtualization.h>

NSError *applevz_generation_identifier_missing(void) {
    if ([VZGenericPlatformConfiguration instancesRespondToSelector:@selector(setApplevzHasGenerationIdentifier:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"Guests have no generation identifier on this host.",
                         @"The virtualization framework has none to give.", @"Leave generation_identifier out.");
}

CFErrorRef applevz_configuration_set_generic_platform(applevz_configuration *configuration,
                                                      const char *machine_identifier,
                                                      size_t machine_identifier_length,
                                                      bool generation_identifier) {
    return applevz_guard(^NSError *_Nullable {
        VZGenericPlatformConfiguration *platform = [[VZGenericPlatformConfiguration alloc] init];
        if (generation_identifier) {
            NSError *error = applevz_generation_identifier_missing();
            if (error != nil)
                return error;
            [(id<AppleVZPlatformExtensions>)platform setApplevzHasGenerationIdentifier:YES];
        }
        if (machine_identifier_length > 0) {
            NSData *data = [NSData dataWithBytes:machine_identifier length:machine_identifier_length];
            VZGenericMachineIdentifier *identifier =
                [[VZGenericMachineIdentifier alloc] initWithDataRepresentation:data];
            if (identifier == nil)
                return applevz_invalid_argument(
                    @"Invalid machine identifier.",
                    [NSString stringWithFormat:@"machine_identifier: %zu bytes that are not the data representation of a "
                                               @"generic machine identifier.",
                                               machine_identifier_length],
                    @"Give the data of an identifier that was made on this platform, unchanged.");
            platform.machineIdentifier = identifier;
        }
        applevz_borrowed(VZVirtualMachineConfiguration, configuration).platform = platform;
        return nil;
    });
}
