// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "errors.h"
#import "guard.h"
#import "ownership.h"
#import "platform.h"
#import "text.h"
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
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"A guest's memory cannot be put into a folder on this host.",
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

CFErrorRef applevz_configuration_set_linux_boot_loader(applevz_configuration *configuration, const char *kernel,
                                                       size_t kernel_length, const char *initial_ramdisk,
                                                       size_t initial_ramdisk_length, const char *command_line,
                                                       size_t command_line_length, bool command_line_additions) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSURL *kernel_url = applevz_file_url(kernel, kernel_length, @"path of the kernel", &error);
        if (kernel_url == nil)
            return error;
        VZLinuxBootLoader *boot_loader = [[VZLinuxBootLoader alloc] initWithKernelURL:kernel_url];
        if (initial_ramdisk_length > 0) {
            NSURL *url = applevz_file_url(initial_ramdisk, initial_ramdisk_length, @"path of the initial RAM disk",
                                          &error);
            if (url == nil)
                return error;
            boot_loader.initialRamdiskURL = url;
        }
        boot_loader.commandLine = applevz_text(command_line, command_line_length, @"command line", &error);
        if (error != nil)
            return error;
        if ([boot_loader respondsToSelector:@selector(setApplevzAddsToCommandLine:)])
            [(id<AppleVZBootLoaderExtensions>)boot_loader setApplevzAddsToCommandLine:command_line_additions];
        applevz_borrowed(VZVirtualMachineConfiguration, configuration).bootLoader = boot_loader;
        return nil;
    });
}

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

CFErrorRef applevz_configuration_validate_save_restore_support(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_save_restore_missing();
        if (error != nil)
            return error;
        id<AppleVZSaveRestoreValidation> object =
            (id<AppleVZSaveRestoreValidation>)applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        if ([object validateSaveRestoreSupportWithError:&error])
            return nil;
        return error ?: applevz_error(VZErrorDomain, VZErrorInvalidVirtualMachineConfiguration,
                                      @"A machine of this configuration cannot be saved.",
                                      @"The framework refused it without a reason.", nil);
    });
}

CFErrorRef applevz_configuration_validate(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        if ([applevz_borrowed(VZVirtualMachineConfiguration, configuration) validateWithError:&error])
            return nil;
        return error ?: applevz_refused_without_reason();
    });
}
