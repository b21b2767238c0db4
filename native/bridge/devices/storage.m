// SPDX-License-Identifier: Apache-2.0
#import "boundary/descriptors.h"
#import "boundary/errors.h"
#import "boundary/files.h"
#import "boundary/guard.h"
#import "boundary/missing_capabilities.h"
#import "boundary/newer_sdk.h"
#import "boundary/ownership.h"
#import "boundary/refusals.h"
#import "boundary/text.h"
#import "applevz.h"
#import "applevz_extensions.h"

_Static_assert((int)APPLEVZ_DISK_IMAGE_CACHING_MODE_AUTOMATIC == (int)VZDiskImageCachingModeAutomatic, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_CACHING_MODE_UNCACHED == (int)VZDiskImageCachingModeUncached, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_CACHING_MODE_CACHED == (int)VZDiskImageCachingModeCached, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FULL == (int)VZDiskImageSynchronizationModeFull, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FSYNC == (int)VZDiskImageSynchronizationModeFsync, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_NONE == (int)VZDiskImageSynchronizationModeNone, "");

CFErrorRef applevz_storage_device_attachment_create_with_disk_image(
    const char *path, size_t path_length, bool read_only, enum applevz_disk_image_caching_mode caching_mode,
    enum applevz_disk_image_synchronization_mode synchronization_mode, applevz_storage_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSURL *url = applevz_file_url(path, path_length, @"path of the disk image", &error);
        if (url == nil)
            return error;
        VZDiskImageStorageDeviceAttachment *object =
            [[VZDiskImageStorageDeviceAttachment alloc] initWithURL:url
                                                           readOnly:read_only
                                                        cachingMode:(VZDiskImageCachingMode)caching_mode
                                                synchronizationMode:(VZDiskImageSynchronizationMode)synchronization_mode
                                                              error:&error];
        if (object == nil) {
            applevz_note_refusal(error);
            AppleVZNamedFile *image =
                [[AppleVZNamedFile alloc] initWithPath:path
                                                length:path_length
                                                 field:@"URL"
                                                   use:AppleVZFileIsRead | (read_only ? 0 : AppleVZFileIsWritten)];
            return applevz_refusal_of_files(error ?: applevz_refused_without_error(@"disk image attachment"), image,
                                            nil);
        }
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

NSError *applevz_disk_overlays_missing(void) {
    if ([VZDiskImageStorageDeviceAttachment
            respondsToSelector:@selector(applevzAttachmentWithURL:baseURLs:ephemeral:overlayDirectoryURL:readOnly:
                                         cachingMode:synchronizationMode:error:)])
        return nil;
    return applevz_error(
        VZErrorDomain, VZErrorNotSupported, @"A disk cannot be made of another one on this host.",
        @"The virtualization framework reads raw disk images only, of which each machine needs its own.",
        @"Give each machine a copy of the image: cp -c makes one at once on APFS.");
}

static NSURL *url_of(const char *path, size_t length, NSString *what, NSError **error) {
    return length > 0 && *error == nil ? applevz_file_url(path, length, what, error) : nil;
}

// Each has a NUL behind it, which no path has in it.
static NSArray<NSURL *> *urls_of_bases(const char *paths, size_t length, NSError **error) {
    NSMutableArray<NSURL *> *urls = [NSMutableArray array];
    for (size_t start = 0; start < length && *error == nil;) {
        const char *end = memchr(paths + start, 0, length - start);
        size_t count = end != NULL ? (size_t)(end - (paths + start)) : length - start;
        NSURL *url = applevz_file_url(paths + start, count, @"path of the base", error);
        if (url != nil)
            [urls addObject:url];
        start += count + 1;
    }
    return urls;
}

CFErrorRef applevz_storage_device_attachment_create_with_disk_overlay(
    const char *path, size_t path_length, const char *base_paths, size_t base_paths_length, bool ephemeral,
    const char *overlay_directory, size_t overlay_directory_length, bool read_only,
    enum applevz_disk_image_caching_mode caching_mode,
    enum applevz_disk_image_synchronization_mode synchronization_mode, applevz_storage_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_disk_overlays_missing();
        if (error != nil)
            return error;
        NSURL *url = applevz_file_url(path, path_length, @"path of the disk image", &error);
        NSArray<NSURL *> *bases = urls_of_bases(base_paths, base_paths_length, &error);
        NSURL *folder = url_of(overlay_directory, overlay_directory_length, @"path of the overlay directory", &error);
        if (error != nil)
            return error;
        Class<AppleVZDiskImageExtensions> images = (Class)[VZDiskImageStorageDeviceAttachment class];
        VZDiskImageStorageDeviceAttachment *object = [images applevzAttachmentWithURL:url
                                                                             baseURLs:bases
                                                                            ephemeral:ephemeral
                                                                  overlayDirectoryURL:folder
                                                                             readOnly:read_only
                                                                          cachingMode:(NSInteger)caching_mode
                                                                  synchronizationMode:(NSInteger)synchronization_mode
                                                                                error:&error];
        if (object == nil)
            return error ?: applevz_refused_without_error(@"disk image attachment");
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

_Static_assert((int)APPLEVZ_CLONING_IF_POSSIBLE == (int)AppleVZCloningIfPossible, "");
_Static_assert((int)APPLEVZ_CLONING_ALWAYS == (int)AppleVZCloningAlways, "");
_Static_assert((int)APPLEVZ_CLONING_NEVER == (int)AppleVZCloningNever, "");

CFErrorRef applevz_disk_image_create_of_bases(const char *path, size_t path_length, const char *base_paths,
                                              size_t base_paths_length, uint64_t size, enum applevz_cloning cloning,
                                              bool *is_clone) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = applevz_disk_overlays_missing();
        NSURL *url = url_of(path, path_length, @"path of the disk image", &error);
        NSArray<NSURL *> *bases = error == nil ? urls_of_bases(base_paths, base_paths_length, &error) : @[];
        if (error != nil)
            return error;
        if (bases.count == 0)
            return applevz_invalid_argument(@"There is no base.", @"base_paths is empty.", @"Name one.");
        BOOL clone = NO;
        Class<AppleVZDiskImageExtensions> images = (Class)[VZDiskImageStorageDeviceAttachment class];
        if (![images applevzCreateImageAtURL:url
                                     ofBases:bases
                                        size:size
                                     cloning:(AppleVZCloning)cloning
                                     isClone:&clone
                                       error:&error])
            return error ?: applevz_refused_without_error(@"base of a disk image");
        *is_clone = clone;
        return nil;
    });
}

static NSError *attachment_missing(NSString *what) {
    return applevz_error(VZErrorDomain, VZErrorNotSupported,
                         [NSString stringWithFormat:@"There are no disks on %@ on this host.", what],
                         @"The virtualization framework has them from macOS 14 on.", @"Use a disk image.");
}

CFErrorRef
applevz_storage_device_attachment_create_with_block_device(int descriptor, bool read_only,
                                                           enum applevz_disk_synchronization_mode synchronization_mode,
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
                return applevz_invalid_argument(
                    @"Invalid URL.", [NSString stringWithFormat:@"url is \"%@\", which is not a URL.", text],
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
                return error ?: applevz_refused_without_error(@"block device identifier");
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
