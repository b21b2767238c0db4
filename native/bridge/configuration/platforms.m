// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/missing_capabilities.h"
#import "boundary/newer_sdk.h"
#import "boundary/ownership.h"
#import "boundary/text.h"

NSError *applevz_generation_identifier_missing(void) {
    if ([VZGenericPlatformConfiguration instancesRespondToSelector:@selector(setApplevzHasGenerationIdentifier:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"Guests have no generation identifier on this host.",
                         @"The virtualization framework has none to give.", @"Leave generation_identifier out.");
}

NSError *applevz_nested_virtualization_missing(void) {
    NSString *reason = @"The virtualization framework needs macOS 15 for it.";
    if (@available(macOS 15.0, *)) {
        if (VZGenericPlatformConfiguration.isNestedVirtualizationSupported)
            return nil;
        reason = @"The virtualization framework says that it is not supported on this hardware.";
        Class<AppleVZPlatformExtensions> extensions = (Class)[VZGenericPlatformConfiguration class];
        if ([VZGenericPlatformConfiguration respondsToSelector:@selector(applevzNestedVirtualizationError)])
            return [extensions applevzNestedVirtualizationError];
    }
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"Guests cannot run machines of their own on this host.",
                         reason, @"Leave nested_virtualization out.");
}

CFErrorRef applevz_configuration_set_generic_platform(applevz_configuration *configuration,
                                                      const char *machine_identifier, size_t machine_identifier_length,
                                                      bool generation_identifier, bool nested_virtualization) {
    return applevz_guard(^NSError *_Nullable {
        VZGenericPlatformConfiguration *platform = [[VZGenericPlatformConfiguration alloc] init];
        if (generation_identifier) {
            NSError *error = applevz_generation_identifier_missing();
            if (error != nil)
                return error;
            [(id<AppleVZPlatformExtensions>)platform setApplevzHasGenerationIdentifier:YES];
        }
        if (nested_virtualization) {
            NSError *error = applevz_nested_virtualization_missing();
            if (error != nil)
                return error;
            if (@available(macOS 15.0, *))
                platform.nestedVirtualizationEnabled = YES;
        }
        if (machine_identifier_length > 0) {
            NSData *data = [NSData dataWithBytes:machine_identifier length:machine_identifier_length];
            VZGenericMachineIdentifier *identifier =
                [[VZGenericMachineIdentifier alloc] initWithDataRepresentation:data];
            if (identifier == nil)
                return applevz_invalid_argument(
                    @"Invalid machine identifier.",
                    [NSString
                        stringWithFormat:@"machine_identifier: %zu bytes that are not the data representation of a "
                                         @"generic machine identifier.",
                                         machine_identifier_length],
                    @"Give the data of an identifier that was made on this platform, unchanged.");
            platform.machineIdentifier = identifier;
        }
        applevz_borrowed(VZVirtualMachineConfiguration, configuration).platform = platform;
        return nil;
    });
}
