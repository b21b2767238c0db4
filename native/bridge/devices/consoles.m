// SPDX-License-Identifier: Apache-2.0
#import "../descriptors.h"
#import "../errors.h"
#import "../guard.h"
#import "../ownership.h"
#import "../text.h"
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
        if (object == nil)
            return error ?: applevz_refused_without_error(@"serial port attachment");
        *attachment = applevz_hand_over_handle(object);
        return nil;
    });
}

void applevz_serial_port_attachment_release(applevz_serial_port_attachment *attachment) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(attachment);
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
