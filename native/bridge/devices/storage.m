// SPDX-License-Identifier: Apache-2.0
#import "../descriptors.h"
#import "../errors.h"
#import "../guard.h"
#import "../ownership.h"
#import "../text.h"
#import "applevz.h"
#import <Virtualization/Virtualization.h>

_Static_assert((int)APPLEVZ_DISK_IMAGE_CACHING_MODE_AUTOMATIC == (int)VZDiskImageCachingModeAutomatic, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_CACHING_MODE_UNCACHED == (int)VZDiskImageCachingModeUncached, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_CACHING_MODE_CACHED == (int)VZDiskImageCachingModeCached, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FULL == (int)VZDiskImageSynchronizationModeFull, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FSYNC == (int)VZDiskImageSynchronizationModeFsync, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_NONE == (int)VZDiskImageSynchronizationModeNone, "");

CFErrorRef applevz_storage_device_attachment_create_with_disk_image(
    const char *path, size_t path_length, bool read_only, enum applevz_disk_image_caching_mode caching_mode,
    enum applevz_disk_image_synchronization_mode synchronization_mode,
    applevz_storage_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSURL *url = applevz_file_url(path, path_length, @"path of the disk image", &error);
        if (url == nil)
            return error;
        VZDiskImageStorageDeviceAttachment *object = [[VZDiskImageStorageDeviceAttachment alloc]
                    initWithURL:url
                       readOnly:read_only
                    cachingMode:(VZDiskImageCachingMode)caching_mode
            synchronizationMode:(VZDiskImageSynchronizationMode)synchronization_mode
                          error:&error];
        if (object == nil)
            return error ?: applevz_refused_without_error(@"disk image attachment");
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

static NSError *attachment_missing(NSString *what) {
    return applevz_error(VZErrorDomain, VZErrorNotSupported,
                         [NSString stringWithFormat:@"There are no disks on %@ on this host.", what],
                         @"The virtualization framework has them from macOS 14 on.", @"Use a disk image.");
}

CFErrorRef applevz_storage_device_attachment_create_with_block_device(
    int descriptor, bool read_only, enum applevz_disk_synchronization_mode synchronization_mode,
    applevz_storage_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 14.0, *)) {
            NSError *error = nil;
            NSFileHandle *handle = applevz_duplicated_file_handle(descriptor, @"file_handle", &error);
            if (handle == nil)
                return error;
            VZDiskBlockDeviceStorageDeviceAttachment *object = [[VZDiskBlockDeviceStorageDeviceAttachment alloc]
                 initWithFileHandle:handle
                           readOnly:read_only
                synchronizationMode:(VZDiskSynchronizationMode)synchronization_mode
                              error:&error];
            if (object == nil)
                return error ?: applevz_refused_without_error(@"block device attachment");
            *attachment = applevz_hand_over_handle(object);
            return nil;
        }
        return attachment_missing(@"block devices");
    });
}

CFErrorRef applevz_storage_device_attachment_create_with_network_block_device(
    const char *url, size_t url_length, double timeout, bool forced_read_only,
    enum applevz_disk_synchronization_mode synchronization_mode, applevz_storage_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 14.0, *)) {
            NSError *error = nil;
            NSString *text = applevz_text(url, url_length, @"URL of the network block device", &error);
            if (error != nil)
                return error;
            NSURL *location = [NSURL URLWithString:text];
            if (location == nil)
                return applevz_invalid_argument(@"Invalid URL.",
                                                [NSString stringWithFormat:@"url is \"%@\", which is not a URL.", text],
                                                @"Give one like nbd://host:10809/export, with % and two hexadecimal digits "
                                                @"for what a URL does not have.");
            VZNetworkBlockDeviceStorageDeviceAttachment *object = [[VZNetworkBlockDeviceStorageDeviceAttachment alloc]
                        initWithURL:location
                            timeout:timeout
                     forcedReadOnly:forced_read_only
                synchronizationMode:(VZDiskSynchronizationMode)synchronization_mode
                              error:&error];
            if (object == nil)
                return error ?: applevz_refused_without_error(@"network block device attachment");
            *attachment = applevz_hand_over_handle(object);
            return nil;
        }
        return attachment_missing(@"network block devices");
    });
}

void applevz_storage_device_attachment_release(applevz_storage_device_attachment *attachment) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(attachment);
    });
}

CFErrorRef applevz_configuration_add_virtio_block_device(applevz_configuration *configuration,
                                                         applevz_storage_device_attachment *attachment,
                                                         const char *identifier, size_t identifier_length) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        VZVirtioBlockDeviceConfiguration *device = [[VZVirtioBlockDeviceConfiguration alloc]
            initWithAttachment:applevz_borrowed(VZStorageDeviceAttachment, attachment)];
        if (identifier_length > 0) {
            NSString *text = applevz_text(identifier, identifier_length, @"block device identifier", &error);
            if (error != nil)
                return error;
            // Asked first: the property's setter raises for what this refuses.
            if (![VZVirtioBlockDeviceConfiguration validateBlockDeviceIdentifier:text error:&error])
                return error;
            device.blockDeviceIdentifier = text;
        }
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.storageDevices = [object.storageDevices arrayByAddingObject:device];
        return nil;
    });
}

CFErrorRef applevz_configuration_add_usb_mass_storage_device(applevz_configuration *configuration,
                                                             applevz_storage_device_attachment *attachment) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        VZUSBMassStorageDeviceConfiguration *device = [[VZUSBMassStorageDeviceConfiguration alloc]
            initWithAttachment:applevz_borrowed(VZStorageDeviceAttachment, attachment)];
        object.storageDevices = [object.storageDevices arrayByAddingObject:device];
        return nil;
    });
}

CFErrorRef applevz_configuration_add_nvm_express_controller(applevz_configuration *configuration,
                                                            applevz_storage_device_attachment *attachment) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 14.0, *)) {
            VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
            VZNVMExpressControllerDeviceConfiguration *device = [[VZNVMExpressControllerDeviceConfiguration alloc]
                initWithAttachment:applevz_borrowed(VZStorageDeviceAttachment, attachment)];
            object.storageDevices = [object.storageDevices arrayByAddingObject:device];
            return nil;
        }
        return applevz_error(VZErrorDomain, VZErrorNotSupported, @"There are no NVM Express controllers on this host.",
                             @"The virtualization framework has them from macOS 14 on.", @"Use a virtio block device.");
    });
}
