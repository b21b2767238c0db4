// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "errors.h"
#import "guard.h"
#import "ownership.h"
#import "platform.h"
#import "text.h"
#import <Virtualization/Virtualization.h>
#import <errno.h>
#import <sys/stat.h>

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

NSError *applevz_efi_missing(void) {
    Class<AppleVZEFIBootLoaderExtensions> extensions = (Class)[VZEFIBootLoader class];
    if ([VZEFIBootLoader respondsToSelector:@selector(applevzUnsupportedError)])
        return [extensions applevzUnsupportedError];
    return nil;
}

static BOOL is_missing(NSURL *url) {
    struct stat status;
    // A symbolic link that leads nowhere is somebody's mistake, and is told as that.
    return lstat(url.path.fileSystemRepresentation, &status) != 0 && errno == ENOENT;
}

/// The new store, or nil with an error.
static VZEFIVariableStore *new_store(NSURL *url, BOOL overwrite, NSError **error) {
    VZEFIVariableStoreInitializationOptions options =
        overwrite ? VZEFIVariableStoreInitializationOptionAllowOverwrite : (VZEFIVariableStoreInitializationOptions)0;
    VZEFIVariableStore *store = [[VZEFIVariableStore alloc] initCreatingVariableStoreAtURL:url options:options error:error];
    if (store == nil && *error == nil)
        *error = applevz_refused_without_error(@"EFI variable store");
    return store;
}

CFErrorRef applevz_efi_variable_store_create(const char *path, size_t path_length, bool overwrite) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_efi_missing();
        NSURL *url = error == nil ? applevz_file_url(path, path_length, @"path of the EFI variable store", &error) : nil;
        if (url == nil)
            return error;
        return new_store(url, overwrite, &error) != nil ? nil : error;
    });
}

CFErrorRef applevz_configuration_set_efi_boot_loader(applevz_configuration *configuration, const char *variable_store,
                                                     size_t variable_store_length) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_efi_missing();
        NSURL *url = error == nil ? applevz_file_url(variable_store, variable_store_length,
                                                     @"path of the EFI variable store", &error)
                                  : nil;
        if (url == nil)
            return error;
        VZEFIVariableStore *store = is_missing(url) ? new_store(url, NO, &error) : nil;
        // One that somebody else has made meanwhile is opened, as it would have been.
        if (store == nil && error != nil && is_missing(url))
            return error;
        VZEFIBootLoader *boot_loader = [[VZEFIBootLoader alloc] init];
        boot_loader.variableStore = store ?: [[VZEFIVariableStore alloc] initWithURL:url];
        applevz_borrowed(VZVirtualMachineConfiguration, configuration).bootLoader = boot_loader;
        return nil;
    });
}
