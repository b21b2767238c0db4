// SPDX-License-Identifier: Apache-2.0
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "configuration/configuration_files.h"
#import "machine/machine.h"
#import "boundary/missing_capabilities.h"
#import "boundary/ownership.h"
#import "boundary/text.h"
#import "applevz.h"
#import "applevz_extensions.h"
#import <Virtualization/Virtualization.h>

NSError *applevz_shared_directories_missing(void) {
    Class<AppleVZMachineExtensions> extensions = (Class)[VZVirtualMachine class];
    if ([VZVirtualMachine respondsToSelector:@selector(applevzDirectorySharingError)])
        return [extensions applevzDirectorySharingError];
    // Where the framework runs machines at all, it shares directories with them.
    return nil;
}

static VZSharedDirectory *shared_directory(const applevz_shared_directory *directory, NSError **error) {
    NSURL *url = applevz_file_url(directory->path, directory->path_length, @"path of the shared directory", error);
    return url != nil ? [[VZSharedDirectory alloc] initWithURL:url readOnly:directory->read_only] : nil;
}

CFErrorRef applevz_directory_share_create_with_directory(const applevz_shared_directory *directory,
                                                         applevz_directory_share **share) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        VZSharedDirectory *object = shared_directory(directory, &error);
        if (object == nil)
            return error;
        *share = applevz_hand_over_handle([[VZSingleDirectoryShare alloc] initWithDirectory:object]);
        return nil;
    });
}

CFErrorRef applevz_directory_share_create_with_directories(const applevz_shared_directory *directories, size_t count,
                                                           applevz_directory_share **share) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSMutableDictionary<NSString *, VZSharedDirectory *> *objects = [NSMutableDictionary dictionary];
        for (size_t i = 0; i < count; i++) {
            NSString *name =
                applevz_text(directories[i].name, directories[i].name_length, @"name of the shared directory", &error);
            if (error != nil)
                return error;
            // Asked first: the initializer raises for what this refuses.
            if (![VZMultipleDirectoryShare validateName:name error:&error])
                return error ?: applevz_refused_without_error(@"name of a shared directory");
            VZSharedDirectory *object = shared_directory(&directories[i], &error);
            if (object == nil)
                return error;
            objects[name] = object;
        }
        *share = applevz_hand_over_handle([[VZMultipleDirectoryShare alloc] initWithDirectories:objects]);
        return nil;
    });
}

void applevz_directory_share_release(applevz_directory_share *share) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(share);
    });
}

CFErrorRef applevz_directory_share_canonicalized_name(const char *name, size_t name_length, char **text,
                                                      size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSString *given = applevz_text(name, name_length, @"name of the shared directory", &error);
        if (error != nil)
            return error;
        *text = applevz_copy_text([VZMultipleDirectoryShare canonicalizedNameFromName:given], length);
        return nil;
    });
}

CFErrorRef applevz_configuration_add_virtio_file_system_device(applevz_configuration *configuration, const char *tag,
                                                               size_t tag_length, applevz_directory_share *share) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSString *text = applevz_text(tag, tag_length, @"tag", &error);
        if (error != nil)
            return error;
        // Asked first: the initializer raises for what this refuses.
        if (![VZVirtioFileSystemDeviceConfiguration validateTag:text error:&error])
            return error ?: applevz_refused_without_error(@"tag");
        VZVirtioFileSystemDeviceConfiguration *device =
            [[VZVirtioFileSystemDeviceConfiguration alloc] initWithTag:text];
        device.share = applevz_borrowed(VZDirectoryShare, share);
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.directorySharingDevices = [object.directorySharingDevices arrayByAddingObject:device];
        return nil;
    });
}

static NSError *access_shared_device(applevz_machine *machine, size_t index,
                                     NSError *_Nullable (^block)(VZVirtioFileSystemDevice *device)) {
    return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
        NSArray<VZDirectorySharingDevice *> *devices = object.directorySharingDevices;
        if (index < devices.count)
            return block((VZVirtioFileSystemDevice *)devices[index]);
        return applevz_no_such_index(@"There is no such directory sharing device.", index, devices.count,
                                     @"Add a directory sharing device to the configuration.");
    }];
}

CFErrorRef applevz_machine_directory_sharing_device_count(applevz_machine *machine, size_t *count) {
    return applevz_guard(^NSError *_Nullable {
        return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
            *count = object.directorySharingDevices.count;
            return nil;
        }];
    });
}

CFErrorRef applevz_machine_directory_sharing_device_tag(applevz_machine *machine, size_t index, char **text,
                                                        size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        return access_shared_device(machine, index, ^NSError *(VZVirtioFileSystemDevice *device) {
            *text = applevz_copy_text(device.tag, length);
            return nil;
        });
    });
}

static NSDictionary *object_of_directory(VZSharedDirectory *directory) {
    return @{@"url" : directory.URL.absoluteString, @"read_only" : [NSNumber numberWithBool:directory.isReadOnly]};
}

static id object_of_share(VZDirectoryShare *share) {
    if ([share isKindOfClass:[VZSingleDirectoryShare class]])
        return @{@"directory" : object_of_directory([(VZSingleDirectoryShare *)share directory])};
    NSMutableDictionary<NSString *, NSDictionary *> *directories = [NSMutableDictionary dictionary];
    [[(VZMultipleDirectoryShare *)share directories]
        enumerateKeysAndObjectsUsingBlock:^(NSString *name, VZSharedDirectory *directory, BOOL *stop) {
            (void)stop;
            directories[name] = object_of_directory(directory);
        }];
    return @{@"directories" : directories};
}

CFErrorRef applevz_machine_directory_share(applevz_machine *machine, size_t index, char **json, size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        return access_shared_device(machine, index, ^NSError *(VZVirtioFileSystemDevice *device) {
            NSError *error = nil;
            NSData *data = [@"null" dataUsingEncoding:NSUTF8StringEncoding];
            if (device.share != nil)
                data = [NSJSONSerialization dataWithJSONObject:object_of_share(device.share) options:0 error:&error];
            if (data == nil)
                return error;
            *json = applevz_copy_data(data, length);
            return nil;
        });
    });
}

/// For a framework that has no error to give: its property raises, or takes what no guest will see.
static NSError *error_of_share(VZDirectoryShare *share) {
    NSError *refusal = applevz_error(VZErrorDomain, VZErrorInvalidVirtualMachineConfiguration,
                                     @"The directory cannot be shared.", nil, nil);
    NSError *found = applevz_refusal_of_files(refusal, nil, applevz_files_of_share(share, @"share"));
    return found != refusal ? found : nil;
}

CFErrorRef applevz_machine_set_directory_share(applevz_machine *machine, size_t index, applevz_directory_share *share) {
    return applevz_guard(^NSError *_Nullable {
        return access_shared_device(machine, index, ^NSError *(VZVirtioFileSystemDevice *device) {
            VZDirectoryShare *object = applevz_borrowed(VZDirectoryShare, share);
            NSError *error = nil;
            if ([device respondsToSelector:@selector(applevzSetShare:error:)])
                return [(id<AppleVZDirectorySharing>)device applevzSetShare:object error:&error] ? nil : error;
            error = error_of_share(object);
            if (error == nil)
                device.share = object;
            return error;
        });
    });
}
