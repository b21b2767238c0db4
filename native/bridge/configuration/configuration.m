// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/missing_capabilities.h"
#import "boundary/ownership.h"
#import "boundary/text.h"
#import "configuration_files.h"
#import <Virtualization/Virtualization.h>

CFErrorRef applevz_configuration_create(applevz_configuration **configuration) {
    return applevz_guard(^NSError *_Nullable {
        *configuration = applevz_hand_over_handle([[VZVirtualMachineConfiguration alloc] init]);
        return nil;
    });
}

void applevz_configuration_release(applevz_configuration *configuration) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(configuration);
    });
}

CFErrorRef applevz_configuration_set_cpu_count(applevz_configuration *configuration, uint64_t count) {
    return applevz_guard(^NSError *_Nullable {
        applevz_borrowed(VZVirtualMachineConfiguration, configuration).CPUCount = (NSUInteger)count;
        return nil;
    });
}

CFErrorRef applevz_configuration_set_memory_size(applevz_configuration *configuration, uint64_t bytes) {
    return applevz_guard(^NSError *_Nullable {
        applevz_borrowed(VZVirtualMachineConfiguration, configuration).memorySize = bytes;
        return nil;
    });
}

NSError *applevz_memory_directory_missing(void) {
    if ([VZVirtualMachineConfiguration instancesRespondToSelector:@selector(setApplevzMemoryDirectoryURL:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported,
                         @"A guest's memory cannot be put into a folder on this host.",
                         @"The virtualization framework keeps it where it pleases.", @"Leave memory_directory out.");
}

CFErrorRef applevz_configuration_set_memory_directory(applevz_configuration *configuration, const char *path,
                                                      size_t path_length) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_memory_directory_missing();
        NSURL *url = error == nil ? applevz_file_url(path, path_length, @"path of the memory directory", &error) : nil;
        if (url == nil)
            return error;
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        [(id<AppleVZConfigurationExtensions>)object setApplevzMemoryDirectoryURL:url];
        return nil;
    });
}

NSError *applevz_guest_resets_missing(void) {
    if ([VZVirtualMachineConfiguration instancesRespondToSelector:@selector(setApplevzStopsAtReset:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"A guest's reset is not told on this host.",
                         @"The virtualization framework starts such a guest anew, and tells nobody.",
                         @"Have the guest turn itself off instead.");
}

CFErrorRef applevz_configuration_set_stops_at_reset(applevz_configuration *configuration, bool stops) {
    return applevz_guard(^NSError *_Nullable {
        // What is the default can be had from every framework.
        NSError *error = applevz_guest_resets_missing();
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        if (error == nil)
            [(id<AppleVZConfigurationExtensions>)object setApplevzStopsAtReset:stops];
        return stops ? error : nil;
    });
}

static NSError *confinement_of_framework(void) {
    return applevz_error(VZErrorDomain, VZErrorNotSupported,
                         @"What a machine is kept from on this host cannot be asked for.",
                         @"The virtualization framework runs each guest in a process that the system confines, and "
                         @"says no more.",
                         @"Require no confinement.");
}

NSError *applevz_confinement_missing(void) {
    Class<AppleVZConfinedMachine> machine = (Class)[VZVirtualMachine class];
    return [VZVirtualMachine respondsToSelector:@selector(applevzConfinementError)] ? [machine applevzConfinementError]
                                                                                    : confinement_of_framework();
}

NSError *applevz_separate_users_missing(void) {
    Class<AppleVZConfinedMachine> machine = (Class)[VZVirtualMachine class];
    return [VZVirtualMachine respondsToSelector:@selector(applevzSeparateUsersError)]
               ? [machine applevzSeparateUsersError]
               : confinement_of_framework();
}

CFErrorRef applevz_configuration_set_confinement(applevz_configuration *configuration, uint32_t required,
                                                 uint32_t waived) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        if (![object respondsToSelector:@selector(setApplevzRequiredConfinement:)])
            // What is waived may be there all the same.
            return required != 0 ? applevz_confinement_missing() : nil;
        [(id<AppleVZConfinementOfConfiguration>)object setApplevzRequiredConfinement:required];
        [(id<AppleVZConfinementOfConfiguration>)object setApplevzWaivedConfinement:waived];
        return nil;
    });
}

NSError *applevz_disk_limits_missing(void) {
    if ([VZVirtualMachineConfiguration instancesRespondToSelector:@selector(setApplevzResourceLimits:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"What a machine takes of this host cannot be limited.",
                         @"The virtualization framework has limits for a guest's processors and memory alone.",
                         @"Leave the limits out, and give the guest disks that are no larger than they may become.");
}

NSError *applevz_control_groups_missing(void) {
    Class<AppleVZResourceLimitsOfConfiguration> configuration = (Class)[VZVirtualMachineConfiguration class];
    if ([VZVirtualMachineConfiguration respondsToSelector:@selector(applevzControlGroupError)])
        return [configuration applevzControlGroupError];
    return applevz_disk_limits_missing();
}

CFErrorRef applevz_configuration_set_resource_limits(applevz_configuration *configuration,
                                                     const applevz_resource_limits *limits, const char *control_group,
                                                     size_t control_group_length) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_disk_limits_missing();
        NSURL *folder = nil;
        if (error == nil && control_group_length > 0)
            folder = applevz_file_url(control_group, control_group_length, @"path of the control group", &error);
        if (error != nil)
            return error;
        id<AppleVZResourceLimitsOfConfiguration> object =
            (id<AppleVZResourceLimitsOfConfiguration>)applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        [object setApplevzControlGroupURL:folder];
        [object setApplevzResourceLimits:(AppleVZResourceLimits){
                                             .processors = limits->processors,
                                             .memory = limits->memory,
                                             .overlaySize = limits->overlay_size,
                                             .diskBytesPerSecond = limits->disk_bytes_per_second,
                                             .diskOperationsPerSecond = limits->disk_operations_per_second,
                                         }];
        return nil;
    });
}

CFErrorRef applevz_configuration_validate_save_restore_support(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_save_restore_missing();
        if (error != nil)
            return error;
        id<AppleVZSaveRestoreValidation> object =
            (id<AppleVZSaveRestoreValidation>)applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        if ([object validateSaveRestoreSupportWithError:&error])
            return nil;
        return error
                   ?: applevz_error(VZErrorDomain, VZErrorInvalidVirtualMachineConfiguration,
                                    @"A machine of this configuration cannot be saved.",
                                    @"The framework refused it without a reason.", nil);
    });
}

CFErrorRef applevz_configuration_validate(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        return applevz_error_of_configuration(applevz_borrowed(VZVirtualMachineConfiguration, configuration));
    });
}
