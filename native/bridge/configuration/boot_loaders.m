// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/errors.h"
#import "boundary/files.h"
#import "boundary/guard.h"
#import "boundary/missing_capabilities.h"
#import "boundary/ownership.h"
#import "boundary/refusals.h"
#import "boundary/text.h"
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
            NSURL *url =
                applevz_file_url(initial_ramdisk, initial_ramdisk_length, @"path of the initial RAM disk", &error);
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

static BOOL is_missing(const char *path, size_t length) {
    struct stat status;
    NSMutableData *name = [NSMutableData dataWithBytes:path length:length];
    [name appendBytes:"" length:1];
    // A symbolic link that leads nowhere is somebody's mistake, and is told as that.
    return lstat(name.mutableBytes, &status) != 0 && errno == ENOENT;
}

/// The new store, or nil with an error.
static VZEFIVariableStore *new_store(NSURL *url, BOOL overwrite, NSError **error) {
    VZEFIVariableStoreInitializationOptions options =
        overwrite ? VZEFIVariableStoreInitializationOptionAllowOverwrite : (VZEFIVariableStoreInitializationOptions)0;
    VZEFIVariableStore *store = [[VZEFIVariableStore alloc] initCreatingVariableStoreAtURL:url
                                                                                   options:options
                                                                                     error:error];
    if (store != nil)
        return store;
    applevz_note_refusal(*error);
    AppleVZFileUse use = overwrite ? AppleVZFileIsWritten | AppleVZFileReplaces : AppleVZFileIsNew;
    AppleVZNamedFile *file = [[AppleVZNamedFile alloc] initWithURL:url field:@"URL" use:use];
    *error = applevz_refusal_of_files(*error ?: applevz_refused_without_error(@"EFI variable store"), file, nil);
    return nil;
}

CFErrorRef applevz_efi_variable_store_create(const char *path, size_t path_length, bool overwrite) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_efi_missing();
        NSURL *url =
            error == nil ? applevz_file_url(path, path_length, @"path of the EFI variable store", &error) : nil;
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
        VZEFIVariableStore *store =
            is_missing(variable_store, variable_store_length) ? new_store(url, NO, &error) : nil;
        // One that somebody else has made meanwhile is opened, as it would have been.
        if (store == nil && error != nil && is_missing(variable_store, variable_store_length))
            return error;
        VZEFIBootLoader *boot_loader = [[VZEFIBootLoader alloc] init];
        boot_loader.variableStore = store ?: [[VZEFIVariableStore alloc] initWithURL:url];
        applevz_borrowed(VZVirtualMachineConfiguration, configuration).bootLoader = boot_loader;
        return nil;
    });
}

NSError *applevz_early_console_missing(void) {
    if ([VZLinuxBootLoader instancesRespondToSelector:@selector(setApplevzEarlyConsoleAttachment:)])
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"There is no early console on this host.",
                         @"The virtualization framework's machines have virtio consoles alone, and a kernel prints "
                         @"nothing before its driver for them is there.",
                         @"Leave early_console out. A kernel with virtio_console built in prints from then on all that "
                         @"it had to say before.");
}

CFErrorRef applevz_configuration_set_early_console(applevz_configuration *configuration,
                                                   applevz_serial_port_attachment *attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_early_console_missing();
        if (error != nil)
            return error;
        VZBootLoader *boot_loader = applevz_borrowed(VZVirtualMachineConfiguration, configuration).bootLoader;
        if (![boot_loader isKindOfClass:[VZLinuxBootLoader class]])
            return applevz_invalid_argument(@"There is no kernel for an early console.",
                                            @"The configuration's boot loader is none of Linux.",
                                            @"Set the boot loader first.");
        [(id<AppleVZBootLoaderExtensions>)boot_loader
            setApplevzEarlyConsoleAttachment:applevz_borrowed(VZSerialPortAttachment, attachment)];
        return nil;
    });
}
