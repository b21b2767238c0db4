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
