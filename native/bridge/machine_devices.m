// SPDX-License-Identifier: Apache-2.0
#import "machine_private.h"

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
    AppleVZEvent *event = [machine eventOfKind:kind cause:APPLEVZ_EVENT_CAUSE_HOST error:error];
    event.usbDevice = _uuid;
    [machine.events add:event];
}

- (void)attachmentWasConnected:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment {
    (void)attachment;
    [self addEventOfKind:APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_CONNECTED error:nil];
}

- (void)attachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment didEncounterError:(NSError *)error {
    (void)attachment;
    [self addEventOfKind:APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_FAILED error:error];
}

@end

@implementation AppleVZMachine (Devices)

- (AppleVZEvent *)eventOfKind:(enum applevz_event_kind)kind cause:(enum applevz_event_cause)cause error:(NSError *)error {
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
                  device:[virtualMachine.networkDevices indexOfObjectIdenticalTo:networkDevice]
                   error:error];
}

- (void)addEventOfKind:(enum applevz_event_kind)kind
                device:(VZVirtioConsoleDevice *)device
                  port:(VZVirtioConsolePort *)port {
    NSUInteger device_index = [_virtualMachine.consoleDevices indexOfObjectIdenticalTo:device];
    if (device_index == NSNotFound)
        return; // of one that was left behind
    uint32_t count = device.ports.maximumPortCount;
    uint32_t port_index = 0;
    while (port_index < count && device.ports[port_index] != port)
        port_index++;
    AppleVZEvent *event = [self eventOfKind:kind cause:APPLEVZ_EVENT_CAUSE_GUEST error:nil];
    event.device = (NSInteger)device_index;
    event.port = (NSInteger)port_index;
    [self.events add:event];
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
                  device:[self storageDeviceOf:attachment]
                   error:nil];
}

- (void)attachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment
    didEncounterError:(NSError *)error API_AVAILABLE(macos(14.0)) {
    [self addEventOfKind:APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_FAILED
                   cause:APPLEVZ_EVENT_CAUSE_HOST
                  device:[self storageDeviceOf:attachment]
                   error:error];
}

@end

@implementation AppleVZMachine (USBDisks)

- (BOOL)listenToUSBDisk:(NSUUID *)uuid attachment:(VZStorageDeviceAttachment *)attachment {
    if (@available(macOS 15.0, *)) {
        if (![attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
            return NO;
        _usbDisks = _usbDisks ?: [NSMutableDictionary dictionary];
        _usbDisks[uuid] = [[AppleVZUSBDiskDelegate alloc]
            initWithMachine:self
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
