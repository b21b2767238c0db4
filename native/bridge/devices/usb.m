// SPDX-License-Identifier: Apache-2.0
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "configuration/configuration_files.h"
#import "machine/machine.h"
#import "boundary/newer_sdk.h"
#import "boundary/ownership.h"
#import "boundary/text.h"
#import "applevz.h"

static NSError *controllers_missing(void) {
    if (@available(macOS 15.0, *))
        return nil;
    return applevz_error(VZErrorDomain, VZErrorNotSupported, @"There are no USB controllers on this host.",
                         @"The virtualization framework has them from macOS 15 on.",
                         @"Put USB disks into storage_devices.");
}

/// The configuration of a USB disk with that identifier, or with a new one where there is no text.
API_AVAILABLE(macos(15.0))
static VZUSBMassStorageDeviceConfiguration *configuration_of(applevz_storage_device_attachment *attachment,
                                                             const char *uuid, size_t uuid_length, NSError **error) {
    VZUSBMassStorageDeviceConfiguration *configuration = [[VZUSBMassStorageDeviceConfiguration alloc]
        initWithAttachment:applevz_borrowed(VZStorageDeviceAttachment, attachment)];
    if (uuid_length == 0)
        return configuration;
    NSString *text = applevz_text(uuid, uuid_length, @"uuid", error);
    NSUUID *identifier = *error == nil ? [[NSUUID alloc] initWithUUIDString:text] : nil;
    if (identifier == nil) {
        *error = *error
                     ?: applevz_invalid_argument(@"Invalid UUID.",
                                                 [NSString stringWithFormat:@"uuid is \"%@\", which is not one.", text],
                                                 @"Give 32 hexadecimal digits as 8-4-4-4-12.");
        return nil;
    }
    configuration.uuid = identifier;
    return configuration;
}

CFErrorRef applevz_configuration_add_xhci_controller(applevz_configuration *configuration) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 15.0, *)) {
            VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
            object.usbControllers =
                [object.usbControllers arrayByAddingObject:[[VZXHCIControllerConfiguration alloc] init]];
            return nil;
        }
        return controllers_missing();
    });
}

CFErrorRef applevz_configuration_add_device_to_usb_controller(applevz_configuration *configuration, size_t controller,
                                                              applevz_storage_device_attachment *attachment,
                                                              const char *uuid, size_t uuid_length) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 15.0, *)) {
            NSError *error = nil;
            VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
            VZUSBMassStorageDeviceConfiguration *device = configuration_of(attachment, uuid, uuid_length, &error);
            if (device == nil)
                return error;
            VZUSBControllerConfiguration *owner = object.usbControllers[controller];
            owner.usbDevices = [owner.usbDevices arrayByAddingObject:device];
            return nil;
        }
        return controllers_missing();
    });
}

CFErrorRef applevz_usb_device_create(applevz_storage_device_attachment *attachment, const char *uuid,
                                     size_t uuid_length, applevz_usb_device **device) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 15.0, *)) {
            NSError *error = nil;
            VZUSBMassStorageDeviceConfiguration *configuration =
                configuration_of(attachment, uuid, uuid_length, &error);
            if (configuration == nil)
                return error;
            *device = applevz_hand_over_handle([[VZUSBMassStorageDevice alloc] initWithConfiguration:configuration]);
            return nil;
        }
        return controllers_missing();
    });
}

void applevz_usb_device_release(applevz_usb_device *device) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(device);
    });
}

CFErrorRef applevz_usb_device_uuid(applevz_usb_device *device, char **text, size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 15.0, *)) {
            *text = applevz_copy_text(applevz_borrowed(VZUSBMassStorageDevice, device).uuid.UUIDString, length);
            return nil;
        }
        return controllers_missing();
    });
}

CFErrorRef applevz_machine_usb_controller_count(applevz_machine *machine, size_t *count) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 15.0, *))
            return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
                *count = object.usbControllers.count;
                return nil;
            }];
        *count = 0;
        return nil;
    });
}

API_AVAILABLE(macos(15.0))
static NSError *controller_not_found(VZVirtualMachine *machine, size_t index) {
    return applevz_error(VZErrorDomain, APPLEVZ_ERROR_USB_CONTROLLER_NOT_FOUND, @"There is no such USB controller.",
                         [NSString stringWithFormat:@"index is %zu; the machine has %lu.", index,
                                                    (unsigned long)machine.usbControllers.count],
                         @"Add a USB controller to the configuration.");
}

/// Gives the controller at the index to the block, on the machine's queue. The block is the caller's, and not retained,
/// as guard.h says of blocks.
static CFErrorRef with_controller(applevz_machine *machine, size_t index,
                                  void (^__unsafe_unretained use)(id controller)) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 15.0, *))
            return [applevz_borrowed(AppleVZMachine, machine) access:^NSError *(VZVirtualMachine *object) {
                if (index >= object.usbControllers.count)
                    return controller_not_found(object, index);
                use(object.usbControllers[index]);
                return nil;
            }];
        return controllers_missing();
    });
}

CFErrorRef applevz_machine_usb_device_count(applevz_machine *machine, size_t controller, size_t *count) {
    return with_controller(machine, controller, ^(id object) {
        *count = [object usbDevices].count;
    });
}

CFErrorRef applevz_machine_usb_device(applevz_machine *machine, size_t controller, size_t index,
                                      applevz_usb_device **device) {
    return with_controller(machine, controller, ^(id object) {
        NSArray *devices = [object usbDevices];
        // It may have been detached since they were counted.
        *device = index < devices.count ? applevz_hand_over_handle(devices[index]) : NULL;
    });
}

CFErrorRef applevz_machine_has_usb_device(applevz_machine *machine, size_t controller, applevz_usb_device *device,
                                          bool *attached) {
    return with_controller(machine, controller, ^(id object) {
        NSArray *devices = [object usbDevices];
        *attached = [devices indexOfObjectIdenticalTo:applevz_borrowed(NSObject, device)] != NSNotFound;
    });
}

API_AVAILABLE(macos(15.0))
static BOOL has_device_with(VZVirtualMachine *machine, NSUUID *uuid) {
    for (VZUSBController *controller in machine.usbControllers)
        for (id<VZUSBDevice> device in controller.usbDevices)
            if ([device.uuid isEqual:uuid])
                return YES;
    return NO;
}

/// Calls the verb with the controller at the index, on the machine's queue; the operation completes with its error. The
/// verb is not retained either.
static CFErrorRef exchange(applevz_machine *machine, size_t index, applevz_operation **operation,
                           void (^__unsafe_unretained verb)(AppleVZMachine *owner, VZVirtualMachine *object,
                                                            id controller,
                                                            void (^completion)(NSError *_Nullable error))) {
    return applevz_guard(^NSError *_Nullable {
        if (@available(macOS 15.0, *)) {
            AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
            *operation = applevz_hand_over_handle(
                [owner request:^(VZVirtualMachine *object, AppleVZOperation *result, void (^done)(void)) {
                    void (^completion)(NSError *) = ^(NSError *_Nullable error) {
                        [result completeWithError:error];
                        done();
                    };
                    if (index < object.usbControllers.count)
                        verb(owner, object, object.usbControllers[index], completion);
                    else
                        completion(controller_not_found(object, index));
                }]);
            return nil;
        }
        return controllers_missing();
    });
}

/// What the framework raises for an attachment that has no delegate any more changes nothing of what was attached or
/// detached.
static void forget(AppleVZMachine *owner, NSUUID *uuid) {
    (void)applevz_error_raised_by(^{
        [owner forgetUSBDisk:uuid];
    });
}

CFErrorRef applevz_machine_attach_usb_device(applevz_machine *machine, size_t controller, applevz_usb_device *device,
                                             applevz_storage_device_attachment *attachment,
                                             applevz_operation **operation) {
    return exchange(machine, controller, operation,
                    ^(AppleVZMachine *owner, VZVirtualMachine *object, id target, void (^completion)(NSError *)) {
                        if (@available(macOS 15.0, *)) {
                            // The device is kept by the block, beyond its handle.
                            VZUSBMassStorageDevice *disk = applevz_borrowed(VZUSBMassStorageDevice, device);
                            VZStorageDeviceAttachment *given = applevz_borrowed(VZStorageDeviceAttachment, attachment);
                            // Where another has its identifier, which the framework refuses, that one is listened to.
                            BOOL listens = !has_device_with(object, disk.uuid) && [owner listenToUSBDisk:disk.uuid
                                                                                              attachment:given];
                            NSUUID *uuid = disk.uuid;
                            __weak AppleVZMachine *weak_owner = owner;
                            void (^attached)(NSError *) = ^(NSError *_Nullable error) {
                                if (error != nil && listens)
                                    forget(weak_owner, uuid);
                                completion(error != nil ? applevz_refusal_of_attachment(error, given, @"device") : nil);
                            };
                            NSError *raised = applevz_error_raised_by(^{
                                [target attachDevice:disk completionHandler:attached];
                            });
                            if (raised != nil)
                                attached(raised);
                        }
                    });
}

CFErrorRef applevz_machine_detach_usb_device(applevz_machine *machine, size_t controller, applevz_usb_device *device,
                                             applevz_operation **operation) {
    return exchange(machine, controller, operation,
                    ^(AppleVZMachine *owner, VZVirtualMachine *object, id target, void (^completion)(NSError *)) {
                        (void)object;
                        if (@available(macOS 15.0, *)) {
                            VZUSBMassStorageDevice *disk = applevz_borrowed(VZUSBMassStorageDevice, device);
                            NSUUID *uuid = disk.uuid;
                            __weak AppleVZMachine *weak_owner = owner;
                            [target detachDevice:disk
                                completionHandler:^(NSError *_Nullable error) {
                                    if (error == nil)
                                        forget(weak_owner, uuid);
                                    completion(error);
                                }];
                        }
                    });
}
