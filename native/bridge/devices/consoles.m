// SPDX-License-Identifier: Apache-2.0
#import "boundary/descriptors.h"
#import "boundary/errors.h"
#import "boundary/files.h"
#import "boundary/guard.h"
#import "boundary/ownership.h"
#import "boundary/refusals.h"
#import "boundary/text.h"
#import "applevz.h"
#import <Virtualization/Virtualization.h>

CFErrorRef applevz_serial_port_attachment_create_with_file_handles(int reading, int writing,
                                                                   applevz_serial_port_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSFileHandle *reading_handle = nil;
        NSFileHandle *writing_handle = nil;
        if (reading >= 0 && (reading_handle = applevz_duplicated_file_handle(reading, @"reading", &error)) == nil)
            return error;
        if (writing >= 0 && (writing_handle = applevz_duplicated_file_handle(writing, @"writing", &error)) == nil)
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
        if (object == nil) {
            applevz_note_refusal(error);
            AppleVZNamedFile *file = [[AppleVZNamedFile alloc] initWithPath:path
                                                                     length:path_length
                                                                      field:@"URL"
                                                                        use:AppleVZFileIsWritten | AppleVZFileIsMade];
            return applevz_refusal_of_files(error ?: applevz_refused_without_error(@"serial port attachment"), file,
                                            nil);
        }
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

CFErrorRef applevz_serial_port_attachment_create_with_spice_agent(bool shares_clipboard,
                                                                  applevz_serial_port_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        VZSpiceAgentPortAttachment *object = [[VZSpiceAgentPortAttachment alloc] init];
        object.sharesClipboard = shares_clipboard;
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

void applevz_serial_port_attachment_release(applevz_serial_port_attachment *attachment) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(attachment);
    });
}

CFErrorRef applevz_configuration_add_virtio_console_device(applevz_configuration *configuration,
                                                           uint32_t maximum_port_count) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtioConsoleDeviceConfiguration *device = [[VZVirtioConsoleDeviceConfiguration alloc] init];
        if (maximum_port_count > 0)
            device.ports.maximumPortCount = maximum_port_count;
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.consoleDevices = [object.consoleDevices arrayByAddingObject:device];
        return nil;
    });
}

CFErrorRef applevz_configuration_set_virtio_console_port(applevz_configuration *configuration, size_t index,
                                                         const char *name, size_t name_length, bool is_console,
                                                         applevz_serial_port_attachment *attachment) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        NSString *text = applevz_text(name, name_length, @"name of the console port", &error);
        if (error != nil)
            return error;
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        // The bridge makes no others.
        VZVirtioConsoleDeviceConfiguration *device =
            (VZVirtioConsoleDeviceConfiguration *)object.consoleDevices.lastObject;
        if (device == nil)
            return applevz_invalid_argument(@"There is no console device.",
                                            @"A port was added to a configuration that has no console device.",
                                            @"Add a console device first.");
        VZVirtioConsolePortConfiguration *port = [[VZVirtioConsolePortConfiguration alloc] init];
        if (name_length > 0)
            port.name = text;
        port.isConsole = is_console;
        port.attachment = applevz_borrowed(VZSerialPortAttachment, attachment);
        device.ports[index] = port;
        return nil;
    });
}

CFErrorRef applevz_configuration_add_virtio_console_device_serial_port(applevz_configuration *configuration,
                                                                       applevz_serial_port_attachment *attachment) {
    return applevz_guard(^NSError *_Nullable {
        VZVirtioConsoleDeviceSerialPortConfiguration *port =
            [[VZVirtioConsoleDeviceSerialPortConfiguration alloc] init];
        port.attachment = applevz_borrowed(VZSerialPortAttachment, attachment);
        VZVirtualMachineConfiguration *object = applevz_borrowed(VZVirtualMachineConfiguration, configuration);
        object.serialPorts = [object.serialPorts arrayByAddingObject:port];
        return nil;
    });
}
