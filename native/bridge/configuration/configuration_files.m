// SPDX-License-Identifier: Apache-2.0
#import "configuration_files.h"
#import "boundary/entitlements.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/newer_sdk.h"
#import "boundary/refusals.h"
#import "boundary/text.h"
#import "kernels.h"

// Virtio's own limit. A configuration that is refused may allow a device more ports than anybody could look through.
enum { MOST_CONSOLE_PORTS = 512 };

typedef NSMutableArray<AppleVZNamedFile *> Files;

static void add_url(Files *files, NSURL *url, NSString *field, AppleVZFileUse use) {
    AppleVZNamedFile *file = [[AppleVZNamedFile alloc] initWithURL:url field:field use:use];
    if (file != nil)
        [files addObject:file];
}

static NSString *field_of(NSString *owner, NSString *property) {
    return [NSString stringWithFormat:@"%@.%@", owner, property];
}

static NSString *field_at(NSString *array, NSUInteger index) {
    return [NSString stringWithFormat:@"%@[%lu]", array, (unsigned long)index];
}

static void add_boot_loader(Files *files, VZBootLoader *boot_loader) {
    if ([boot_loader isKindOfClass:[VZLinuxBootLoader class]]) {
        VZLinuxBootLoader *loader = (VZLinuxBootLoader *)boot_loader;
        add_url(files, loader.kernelURL, @"bootLoader.kernelURL", AppleVZFileIsRead);
        add_url(files, loader.initialRamdiskURL, @"bootLoader.initialRamdiskURL", AppleVZFileIsRead);
    } else if ([boot_loader isKindOfClass:[VZEFIBootLoader class]]) {
        VZEFIVariableStore *store = ((VZEFIBootLoader *)boot_loader).variableStore;
        add_url(files, store.URL, @"bootLoader.variableStore.URL", AppleVZFileIsRead | AppleVZFileIsWritten);
    }
}

static void add_serial_port(Files *files, VZSerialPortAttachment *attachment, NSString *field) {
    if ([attachment isKindOfClass:[VZFileSerialPortAttachment class]])
        add_url(files, ((VZFileSerialPortAttachment *)attachment).URL, field_of(field, @"attachment.URL"),
                AppleVZFileIsWritten | AppleVZFileIsMade);
}

static void add_share(Files *files, VZDirectoryShare *share, NSString *field) {
    const AppleVZFileUse use = AppleVZFileIsRead | AppleVZFileIsFolder;
    if ([share isKindOfClass:[VZSingleDirectoryShare class]]) {
        add_url(files, ((VZSingleDirectoryShare *)share).directory.URL, field_of(field, @"directory.URL"), use);
    } else if ([share isKindOfClass:[VZMultipleDirectoryShare class]]) {
        NSDictionary<NSString *, VZSharedDirectory *> *directories = ((VZMultipleDirectoryShare *)share).directories;
        for (NSString *name in [directories.allKeys sortedArrayUsingSelector:@selector(compare:)])
            add_url(files, directories[name].URL,
                    [NSString stringWithFormat:@"%@.directories[\"%@\"].URL", field, name], use);
    }
}

NSArray<AppleVZNamedFile *> *applevz_files_of_share(VZDirectoryShare *share, NSString *field) {
    Files *files = [NSMutableArray array];
    add_share(files, share, field);
    return files;
}

/// The socket of a server on this host is a file: nbd+unix:///export?socket=/path/of/socket.
API_AVAILABLE(macos(14.0))
static void add_network_block_device(Files *files, VZNetworkBlockDeviceStorageDeviceAttachment *attachment,
                                     NSString *field) {
    NSString *key = @"socket=";
    for (NSString *parameter in [attachment.URL.query componentsSeparatedByString:@"&"]) {
        if (![parameter hasPrefix:key])
            continue;
        __attribute__((objc_precise_lifetime)) NSData *path =
            applevz_unescaped([parameter substringFromIndex:key.length]);
        if (path.length > 0 && *(const char *)path.bytes == '/' && memchr(path.bytes, 0, path.length) == NULL)
            [files addObject:[[AppleVZNamedFile alloc] initWithPath:path.bytes
                                                             length:path.length
                                                              field:[@"the socket of " stringByAppendingString:field]
                                                                use:AppleVZFileIsWritten | AppleVZFileIsSocket]];
    }
}

static void add_storage(Files *files, VZStorageDeviceAttachment *attachment, NSString *field) {
    NSString *url = field_of(field, @"attachment.URL");
    if ([attachment isKindOfClass:[VZDiskImageStorageDeviceAttachment class]]) {
        VZDiskImageStorageDeviceAttachment *image = (VZDiskImageStorageDeviceAttachment *)attachment;
        add_url(files, image.URL, url, AppleVZFileIsRead | (image.isReadOnly ? 0 : AppleVZFileIsWritten));
        return;
    }
    if (@available(macOS 14.0, *))
        if ([attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
            add_network_block_device(files, (VZNetworkBlockDeviceStorageDeviceAttachment *)attachment, url);
}

static void add_console_device(Files *files, VZVirtioConsoleDeviceConfiguration *device, NSString *field) {
    uint32_t count = device.ports.maximumPortCount;
    for (uint32_t i = 0; i < count && i < MOST_CONSOLE_PORTS; i++)
        add_serial_port(files, device.ports[i].attachment, field_at(field_of(field, @"ports"), i));
}

NSArray<AppleVZNamedFile *> *applevz_files_of_configuration(VZVirtualMachineConfiguration *configuration) {
    Files *files = [NSMutableArray array];
    add_boot_loader(files, configuration.bootLoader);
    [configuration.serialPorts
        enumerateObjectsUsingBlock:^(VZSerialPortConfiguration *port, NSUInteger index, BOOL *stop) {
            (void)stop;
            add_serial_port(files, port.attachment, field_at(@"serialPorts", index));
        }];
    [configuration.consoleDevices enumerateObjectsUsingBlock:^(VZConsoleDeviceConfiguration *device, NSUInteger index,
                                                               BOOL *stop) {
        (void)stop;
        if ([device isKindOfClass:[VZVirtioConsoleDeviceConfiguration class]])
            add_console_device(files, (VZVirtioConsoleDeviceConfiguration *)device, field_at(@"consoleDevices", index));
    }];
    [configuration.storageDevices
        enumerateObjectsUsingBlock:^(VZStorageDeviceConfiguration *device, NSUInteger index, BOOL *stop) {
            (void)stop;
            add_storage(files, device.attachment, field_at(@"storageDevices", index));
        }];
    [configuration.directorySharingDevices
        enumerateObjectsUsingBlock:^(VZDirectorySharingDeviceConfiguration *device, NSUInteger index, BOOL *stop) {
            (void)stop;
            if ([device isKindOfClass:[VZVirtioFileSystemDeviceConfiguration class]])
                add_share(files, ((VZVirtioFileSystemDeviceConfiguration *)device).share,
                          field_of(field_at(@"directorySharingDevices", index), @"share"));
        }];
    if (@available(macOS 15.0, *))
        [configuration.usbControllers
            enumerateObjectsUsingBlock:^(VZUSBControllerConfiguration *controller, NSUInteger index, BOOL *stop) {
                (void)stop;
                NSString *field = field_of(field_at(@"usbControllers", index), @"usbDevices");
                NSUInteger place = 0;
                for (id<VZUSBDeviceConfiguration> device in controller.usbDevices) {
                    if ([(id)device isKindOfClass:[VZUSBMassStorageDeviceConfiguration class]])
                        add_storage(files, ((VZUSBMassStorageDeviceConfiguration *)device).attachment,
                                    field_at(field, place));
                    place++;
                }
            }];
    return files;
}

/// Whatever comes of the look, there is a refusal.
static NSError *explained(NSError *refusal, __attribute__((noescape)) NSArray<AppleVZNamedFile *> * (^files)(void)) {
    __block NSError *result = refusal;
    (void)applevz_error_raised_by(^{
        result = applevz_refusal_of_files(refusal, nil, files());
    });
    return result;
}

NSError *applevz_refusal_of_configuration(NSError *refusal, VZVirtualMachineConfiguration *configuration) {
    // A process that may run no machine is refused whatever its files are.
    refusal = applevz_error_with_process_cure(refusal ?: applevz_refused_without_reason());
    return explained(refusal, ^{
        return applevz_files_of_configuration(configuration);
    });
}

NSError *applevz_refusal_of_attachment(NSError *refusal, VZStorageDeviceAttachment *attachment, NSString *field) {
    return explained(refusal, ^{
        Files *files = [NSMutableArray array];
        add_storage(files, attachment, field);
        return files;
    });
}

NSError *applevz_error_of_configuration(VZVirtualMachineConfiguration *configuration) {
    NSError *error = nil;
    BOOL is_valid = [configuration validateWithError:&error];
    applevz_note_refusal(is_valid ? nil : error);
    // A framework that refuses a kernel says less of it.
    NSError *error_of_kernel = [AppleVZKernels errorOfKernelIn:configuration];
    if (error_of_kernel != nil)
        return error_of_kernel;
    return is_valid ? nil : applevz_refusal_of_configuration(error, configuration);
}
