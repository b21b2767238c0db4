// SPDX-License-Identifier: Apache-2.0
#import "configuration/configuration_files.h"
#import "machine_private.h"
#import "boundary/guard.h"
#import "boundary/newer_sdk.h"
#import "applevz_guest_reports.h"

API_AVAILABLE(macos(14.0))
@interface AppleVZMachine (NetworkBlockDevices) <VZNetworkBlockDeviceStorageDeviceAttachmentDelegate>
@end

/// Tells of one USB disk that a server gives out.
API_AVAILABLE(macos(15.0))
@interface AppleVZUSBDiskDelegate : NSObject <VZNetworkBlockDeviceStorageDeviceAttachmentDelegate>

@property (readonly, weak) VZNetworkBlockDeviceStorageDeviceAttachment *attachment;

@end

@implementation AppleVZUSBDiskDelegate {
    __weak AppleVZMachine *_machine;
    NSUUID *_uuid;
}

- (instancetype)initWithMachine:(AppleVZMachine *)machine
                           uuid:(NSUUID *)uuid
                     attachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment {
    self = [super init];
    if (self != nil) {
        _machine = machine;
        _uuid = uuid;
        _attachment = attachment;
        attachment.delegate = self;
    }
    return self;
}

- (void)addEventOfKind:(enum applevz_event_kind)kind error:(NSError *)error {
    AppleVZMachine *machine = _machine;
    if (machine == nil)
        return;
    applevz_guard_infallible(^{
        AppleVZEvent *event = [machine eventOfKind:kind cause:APPLEVZ_EVENT_CAUSE_HOST error:error];
        event.usbDevice = self->_uuid;
        [machine.events add:event];
    });
}

- (void)attachmentWasConnected:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment {
    (void)attachment;
    [self addEventOfKind:APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_CONNECTED error:nil];
}

- (void)attachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment didEncounterError:(NSError *)error {
    [self addEventOfKind:APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_FAILED
                   error:applevz_refusal_of_attachment(error, attachment, @"device")];
}

@end

@implementation AppleVZMachine (Devices)

- (AppleVZEvent *)eventOfKind:(enum applevz_event_kind)kind
                        cause:(enum applevz_event_cause)cause
                        error:(NSError *)error {
    return [AppleVZEvent eventOfKind:kind cause:cause stateBefore:self.state state:self.state error:error];
}

- (void)addEventOfKind:(enum applevz_event_kind)kind
                 cause:(enum applevz_event_cause)cause
                device:(NSUInteger)device
                 error:(NSError *)error {
    AppleVZEvent *event = [self eventOfKind:kind cause:cause error:error];
    event.device = device != NSNotFound ? (NSInteger)device : -1;
    [self.events add:event];
}

- (void)addEventOfGuest:(enum applevz_event_kind)kind {
    [self addEventOfKind:kind cause:APPLEVZ_EVENT_CAUSE_GUEST device:NSNotFound error:nil];
}

- (void)setDelegateOfDevices:(AppleVZMachine *)delegate {
    for (VZVirtioConsoleDevice *device in _virtualMachine.consoleDevices)
        device.delegate = delegate;
    // Attachments have no copies: those of the configuration are the machine's.
    if (@available(macOS 14.0, *))
        for (VZStorageDeviceConfiguration *device in _configuration.storageDevices)
            if ([device.attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
                ((VZNetworkBlockDeviceStorageDeviceAttachment *)device.attachment).delegate = delegate;
    // One that is new, or starts, has the USB disks of the configuration alone; one that is left has none.
    _usbDisks = nil;
    if (@available(macOS 15.0, *))
        for (VZUSBControllerConfiguration *controller in delegate != nil ? _configuration.usbControllers : @[])
            for (id<VZUSBDeviceConfiguration> device in controller.usbDevices)
                [delegate listenToUSBDisk:device.uuid
                               attachment:((VZUSBMassStorageDeviceConfiguration *)device).attachment];
}

/// The place that the block finds. Where the framework raises meanwhile, which device it was is not known, and what
/// happened to it is told all the same.
static NSUInteger found(__attribute__((noescape)) NSUInteger (^__unsafe_unretained find)(void)) {
    __block NSUInteger place = NSNotFound;
    (void)applevz_error_raised_by(^{
        place = find();
    });
    return place;
}

- (NSUInteger)storageDeviceOf:(VZStorageDeviceAttachment *)attachment {
    NSUInteger index = 0;
    for (VZStorageDeviceConfiguration *device in _configuration.storageDevices) {
        if (device.attachment == attachment)
            return index;
        index++;
    }
    return NSNotFound;
}

- (void)virtualMachine:(VZVirtualMachine *)virtualMachine
                         networkDevice:(VZNetworkDevice *)networkDevice
    attachmentWasDisconnectedWithError:(NSError *)error {
    if (virtualMachine != _virtualMachine)
        return;
    self.disconnection = error;
    [self addEventOfKind:APPLEVZ_EVENT_KIND_NETWORK_DISCONNECTED
                   cause:APPLEVZ_EVENT_CAUSE_HOST
                  device:found(^{
                      return [virtualMachine.networkDevices indexOfObjectIdenticalTo:networkDevice];
                  })
                   error:error];
}

- (void)addEventOfKind:(enum applevz_event_kind)kind
                device:(VZVirtioConsoleDevice *)device
                  port:(VZVirtioConsolePort *)port {
    // An event without the port that it is about would tell nothing.
    applevz_guard_infallible(^{
        NSUInteger device_index = [self->_virtualMachine.consoleDevices indexOfObjectIdenticalTo:device];
        if (device_index == NSNotFound)
            return; // of one that was left behind
        if (kind == APPLEVZ_EVENT_KIND_PORT_CLOSED && device_index + 1 == self->_virtualMachine.consoleDevices.count)
            [self countLastDeviceClosing];
        uint32_t count = device.ports.maximumPortCount;
        uint32_t port_index = 0;
        while (port_index < count && device.ports[port_index] != port)
            port_index++;
        AppleVZEvent *event = [self eventOfKind:kind cause:APPLEVZ_EVENT_CAUSE_GUEST error:nil];
        event.device = (NSInteger)device_index;
        event.port = (NSInteger)port_index;
        [self.events add:event];
    });
}

- (void)consoleDevice:(VZVirtioConsoleDevice *)consoleDevice didOpenPort:(VZVirtioConsolePort *)consolePort {
    [self addEventOfKind:APPLEVZ_EVENT_KIND_PORT_OPENED device:consoleDevice port:consolePort];
}

- (void)consoleDevice:(VZVirtioConsoleDevice *)consoleDevice didClosePort:(VZVirtioConsolePort *)consolePort {
    [self addEventOfKind:APPLEVZ_EVENT_KIND_PORT_CLOSED device:consoleDevice port:consolePort];
}

@end

@implementation AppleVZMachine (NetworkBlockDevices)

- (void)attachmentWasConnected:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment API_AVAILABLE(macos(14.0)) {
    [self addEventOfKind:APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_CONNECTED
                   cause:APPLEVZ_EVENT_CAUSE_HOST
                  device:found(^{
                      return [self storageDeviceOf:attachment];
                  })
                   error:nil];
}

- (void)attachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment
    didEncounterError:(NSError *)error API_AVAILABLE(macos(14.0)) {
    NSError *told = applevz_refusal_of_attachment(error, attachment, @"device");
    [self addEventOfKind:APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_FAILED
                   cause:APPLEVZ_EVENT_CAUSE_HOST
                  device:found(^{
                      return [self storageDeviceOf:attachment];
                  })
                   error:told];
}

@end

@implementation AppleVZMachine (USBDisks)

- (BOOL)listenToUSBDisk:(NSUUID *)uuid attachment:(VZStorageDeviceAttachment *)attachment {
    if (@available(macOS 15.0, *)) {
        if (![attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
            return NO;
        _usbDisks = _usbDisks ?: [NSMutableDictionary dictionary];
        _usbDisks[uuid] =
            [[AppleVZUSBDiskDelegate alloc] initWithMachine:self
                                                       uuid:uuid
                                                 attachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment];
        return YES;
    }
    return NO;
}

- (void)forgetUSBDisk:(NSUUID *)uuid {
    if (@available(macOS 15.0, *)) {
        AppleVZUSBDiskDelegate *delegate = _usbDisks[uuid];
        VZNetworkBlockDeviceStorageDeviceAttachment *attachment = delegate.attachment;
        [_usbDisks removeObjectForKey:uuid];
        if (delegate == nil || attachment.delegate != delegate)
            return;
        // It may be another disk's, too.
        attachment.delegate = [self storageDeviceOf:attachment] != NSNotFound ? self : nil;
        for (AppleVZUSBDiskDelegate *other in _usbDisks.objectEnumerator)
            if (other.attachment == attachment)
                attachment.delegate = other;
    }
}

@end

@interface AppleVZMachine (GuestReports) <AppleVZGuestReports>
@end

@implementation AppleVZMachine (GuestReports)

- (void)applevzGuestDidPanicInVirtualMachine:(VZVirtualMachine *)virtualMachine {
    if (virtualMachine == _virtualMachine && [_panics isNewsFromDevice])
        [self addEventOfGuest:APPLEVZ_EVENT_KIND_GUEST_PANICKED];
}

- (void)applevzGuestDidResetInVirtualMachine:(VZVirtualMachine *)virtualMachine {
    if (virtualMachine != _virtualMachine)
        return;
    [_panics beginGuest];
    [self addEventOfGuest:APPLEVZ_EVENT_KIND_GUEST_RESET];
}

- (void)applevzVirtualMachine:(VZVirtualMachine *)virtualMachine
                storageDevice:(NSUInteger)index
                    usbDevice:(NSUUID *)uuid
              isFullWithError:(NSError *)error {
    if (virtualMachine != _virtualMachine)
        return;
    AppleVZEvent *event = [self eventOfKind:APPLEVZ_EVENT_KIND_DISK_FULL cause:APPLEVZ_EVENT_CAUSE_HOST error:error];
    event.device = index != NSNotFound ? (NSInteger)index : -1;
    event.usbDevice = uuid;
    [self.events add:event];
}

@end
