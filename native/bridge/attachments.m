// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "errors.h"
#import "guard.h"
#import "ownership.h"
#import "text.h"
#import <Virtualization/Virtualization.h>
#import <errno.h>
#import <fcntl.h>
#import <string.h>

_Static_assert((int)APPLEVZ_DISK_IMAGE_CACHING_MODE_AUTOMATIC == (int)VZDiskImageCachingModeAutomatic, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_CACHING_MODE_UNCACHED == (int)VZDiskImageCachingModeUncached, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_CACHING_MODE_CACHED == (int)VZDiskImageCachingModeCached, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FULL == (int)VZDiskImageSynchronizationModeFull, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FSYNC == (int)VZDiskImageSynchronizationModeFsync, "");
_Static_assert((int)APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_NONE == (int)VZDiskImageSynchronizationModeNone, "");

static NSError *initializer_failed(NSString *what) {
    return applevz_error(VZErrorDomain, VZErrorInternal, [NSString stringWithFormat:@"The %@ could not be made.", what],
                         @"The framework gave neither an object nor an error.", nil);
}

/// A file handle with a descriptor of its own, since NSFileHandle does not duplicate and closes what it owns: the caller's
/// descriptor stays the caller's, this one is closed exactly once, with the handle.
static NSFileHandle *duplicated_file_handle(int descriptor, NSString *field, NSError **error) {
    int duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (duplicate < 0) {
        int number = errno;
        NSError *cause = [NSError errorWithDomain:NSPOSIXErrorDomain code:number userInfo:nil];
        NSString *reason = [NSString stringWithFormat:@"%@: file descriptor %d cannot be duplicated: %s.", field,
                                                      descriptor, strerror(number)];
        *error = [NSError errorWithDomain:AppleVZErrorDomain
                                     code:APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT
                                 userInfo:@{
                                     NSLocalizedDescriptionKey : @"Invalid file descriptor.",
                                     NSLocalizedFailureReasonErrorKey : reason,
                                     NSLocalizedRecoverySuggestionErrorKey : @"Give a descriptor that is open.",
                                     NSUnderlyingErrorKey : cause
                                 }];
        return nil;
    }
    return [[NSFileHandle alloc] initWithFileDescriptor:duplicate closeOnDealloc:YES];
}

CFErrorRef applevz_serial_port_attachment_create_with_file_handles(int reading, int writing,
                                                                   applevz_serial_port_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSFileHandle *reading_handle = nil;
        NSFileHandle *writing_handle = nil;
        if (reading >= 0 && (reading_handle = duplicated_file_handle(reading, @"reading", &error)) == nil)
            return error;
        if (writing >= 0 && (writing_handle = duplicated_file_handle(writing, @"writing", &error)) == nil)
            return error;
        if (reading_handle == nil && writing_handle == nil)
            return applevz_invalid_argument(@"Invalid serial port attachment.",
                                            @"Neither a file handle for reading nor one for writing was given.",
                                            @"Give at least one of them.");
        *attachment = applevz_hand_over_handle([[VZFileHandleSerialPortAttachment alloc]
            initWithFileHandleForReading:reading_handle
                    fileHandleForWriting:writing_handle]);
        return nil;
    });
}

CFErrorRef applevz_serial_port_attachment_create_with_file(const char *path, size_t path_length, bool append,
                                                           applevz_serial_port_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSURL *url = applevz_file_url(path, path_length, @"path of the serial port's file", &error);
        if (url == nil)
            return error;
        VZFileSerialPortAttachment *object = [[VZFileSerialPortAttachment alloc] initWithURL:url
                                                                                      append:append
                                                                                       error:&error];
        if (object == nil)
            return error ?: initializer_failed(@"serial port attachment");
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

void applevz_serial_port_attachment_release(applevz_serial_port_attachment *attachment) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(attachment);
    });
}

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
            return error ?: initializer_failed(@"disk image attachment");
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

void applevz_storage_device_attachment_release(applevz_storage_device_attachment *attachment) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(attachment);
    });
}

CFErrorRef applevz_network_device_attachment_create_with_nat(applevz_network_device_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        *attachment = applevz_hand_over_handle([[VZNATNetworkDeviceAttachment alloc] init]);
        return nil;
    });
}

void applevz_network_device_attachment_release(applevz_network_device_attachment *attachment) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(attachment);
    });
}
