// SPDX-License-Identifier: Apache-2.0
#import "VZUSBController+Private.h"
#import "QEMU/storage/QEMUStartedDisk.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "configuration/storage/VZNamedStorageDeviceAttachment+Private.h"

typedef void (^USBCompletion)(NSError *_Nullable error);

static NSError *attach_error(VZErrorCode code, NSString *reason, NSString *suggestion, NSError *underlying) {
    return VZErrorWithReason(code, @"The USB device could not be attached.", reason, suggestion, underlying);
}

@implementation VZUSBController {
    __weak VZVirtualMachine *_machine;
    NSUInteger _index;
    VZUSBControllerConfiguration *_configuration;
    dispatch_queue_t _queue;
    QEMUInstance *_instance;
    NSMutableArray<VZUSBMassStorageDevice *> *_attached;
    NSMutableArray<VZUSBMassStorageDevice *> *_arriving;
    NSMutableDictionary<NSUUID *, QEMUNetworkDiskWatch *> *_watches;
}

- (instancetype)initWithMachine:(VZVirtualMachine *)machine
                          index:(NSUInteger)index
                  configuration:(VZUSBControllerConfiguration *)configuration
                          queue:(dispatch_queue_t)queue {
    self = [super init];
    if (self != nil) {
        _machine = machine;
        _index = index;
        _configuration = configuration;
        _queue = queue;
        _attached = [NSMutableArray array];
        _arriving = [NSMutableArray array];
        _watches = [NSMutableDictionary dictionary];
    }
    return self;
}

- (NSArray<id<VZUSBDevice>> *)usbDevices {
    [_machine checkQueue];
    return [_attached copy];
}

- (NSArray<VZUSBMassStorageDevice *> *)allDevices {
    return [_attached arrayByAddingObjectsFromArray:_arriving];
}

- (NSString *)reasonAgainstSaving {
    NSString *name = [NSString stringWithFormat:@"usbControllers[%lu]", (unsigned long)_index];
    for (VZUSBMassStorageDevice *device in self.allDevices)
        if (device.disk.isBusy)
            return [NSString stringWithFormat:@"A device is being attached to %@, or detached.", name];
    NSMutableDictionary<NSUUID *, NSNumber *> *ports = [NSMutableDictionary dictionary];
    for (VZUSBMassStorageDevice *device in _attached)
        ports[device.uuid] = @(device.disk.port);
    NSUInteger port = 0;
    for (id<VZUSBDeviceConfiguration> device in _configuration.usbDevices) {
        if (![ports[device.uuid] isEqual:@(++port)])
            return [NSString stringWithFormat:@"The device %@ of the configuration was detached from %@.",
                                              device.uuid.UUIDString, name];
        [ports removeObjectForKey:device.uuid];
    }
    if (ports.count == 0)
        return nil;
    return [NSString stringWithFormat:@"The device %@, which is not of the configuration, is attached to %@.",
                                      ports.allKeys[0].UUIDString, name];
}

- (NSArray<VZNamedStorageDeviceAttachment *> *)storageAttachments {
    NSMutableArray<VZNamedStorageDeviceAttachment *> *named = [NSMutableArray array];
    for (VZUSBMassStorageDevice *device in self.allDevices)
        [named addObject:[[VZNamedStorageDeviceAttachment alloc]
                             initWithName:[NSString stringWithFormat:@"usbControllers[%lu].usbDevices[%lu]",
                                                                     (unsigned long)_index, (unsigned long)named.count]
                               attachment:device.configuration.attachment]];
    return named;
}

#pragma mark The machine's life

- (void)instanceReady:(QEMUInstance *)instance {
    _instance = instance;
    for (QEMUUSBDisk *disk in [instance.commandLine disksOfUSBController:_index]) {
        VZUSBMassStorageDevice *device = [[VZUSBMassStorageDevice alloc] initWithConfiguration:disk.configuration];
        device.disk = disk;
        [self keep:device];
    }
}

- (void)instanceEnded {
    _instance = nil;
    for (VZUSBMassStorageDevice *device in _attached) {
        device.disk = nil;
        device.usbController = nil;
    }
    [_attached removeAllObjects];
    for (QEMUNetworkDiskWatch *watch in _watches.objectEnumerator)
        [watch instanceEnded];
    [_watches removeAllObjects];
}

- (void)takeEvent:(NSString *)name data:(NSDictionary *)data {
    for (QEMUNetworkDiskWatch *watch in _watches.objectEnumerator)
        [watch takeEvent:name data:data];
    for (VZUSBMassStorageDevice *device in [_attached copy]) {
        [device.disk takeEvent:name data:data];
        if (device.disk.isOut && !device.disk.isBusy)
            [self forget:device]; // after its time was over
    }
}

- (void)keep:(VZUSBMassStorageDevice *)device {
    [_attached addObject:device];
    device.usbController = self;
    VZStorageDeviceAttachment *attachment = device.configuration.attachment;
    if (![attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
        return;
    QEMUNetworkDiskWatch *watch =
        [[QEMUNetworkDiskWatch alloc] initWithAttachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment
                                                    node:device.disk.node];
    _watches[device.uuid] = watch;
    [watch instanceReady:_instance];
}

- (void)forget:(VZUSBMassStorageDevice *)device {
    [_attached removeObjectIdenticalTo:device];
    device.usbController = nil;
    device.disk = nil;
}

- (void)complete:(USBCompletion)completion withError:(NSError *)error {
    // Never before the call that it belongs to has returned.
    dispatch_async(_queue, ^{
        completion(error);
    });
}

#pragma mark Attaching

/// The lowest port that nobody has; 0 where there is none.
- (NSUInteger)freePort {
    for (NSUInteger port = 1; port <= VZUSBMaximumDeviceCount; port++) {
        BOOL taken = NO;
        for (VZUSBMassStorageDevice *device in self.allDevices)
            taken = taken || device.disk.port == port;
        if (!taken)
            return port;
    }
    return 0;
}

- (NSError *)errorOfAttaching:(VZUSBMassStorageDevice *)device {
    if (![device isKindOfClass:[VZUSBMassStorageDevice class]])
        return attach_error(VZErrorDeviceInitializationFailure,
                            [NSString stringWithFormat:@"It is an instance of %@.", [device class]],
                            @"Attach a VZUSBMassStorageDevice.", nil);
    if (device.usbController != nil || device.disk.isBusy)
        return attach_error(VZErrorDeviceAlreadyAttached, @"It is attached already.", @"Detach it first.", nil);
    NSError *error = [_machine errorOfExchangingDevices:@"attach"];
    if (error == nil && _instance == nil)
        error = attach_error(VZErrorUSBControllerNotFound, @"The controller's machine has been released.", nil, nil);
    if (error != nil)
        return error;
    for (VZUSBMassStorageDevice *other in _machine.allUSBDevices)
        if ([other.uuid isEqual:device.uuid])
            return attach_error(VZErrorDeviceInitializationFailure,
                                [NSString stringWithFormat:@"Another device has its uuid, %@.", device.uuid.UUIDString],
                                @"Give each device one of its own.", nil);
    if (![device.configuration validateAs:@"device" error:&error])
        return attach_error(VZErrorDeviceInitializationFailure, error.localizedFailureReason,
                            error.localizedRecoverySuggestion, error);
    VZNamedStorageDeviceAttachment *named =
        [[VZNamedStorageDeviceAttachment alloc] initWithName:@"device" attachment:device.configuration.attachment];
    if (!VZValidateStorageIsDistinct([_machine.allStorageAttachments arrayByAddingObject:named], &error))
        return attach_error(VZErrorDeviceInitializationFailure, error.localizedFailureReason,
                            error.localizedRecoverySuggestion, error);
    if ([self freePort] == 0)
        return attach_error(
            VZErrorDeviceInitializationFailure,
            [NSString stringWithFormat:@"All %d ports of the controller are taken.", VZUSBMaximumDeviceCount],
            @"Detach another device first, or configure one more controller.", nil);
    return nil;
}

- (NSError *)errorOfRefusal:(NSError *)refusal of:(VZUSBMassStorageDevice *)device {
    VZStorageDeviceAttachment *attachment = device.configuration.attachment;
    NSString *words = refusal.localizedFailureReason;
    for (NSString *command in @[ @"blockdev-add: ", @"device_add: " ])
        if ([words hasPrefix:command])
            words = [words substringFromIndex:command.length];
    NSError *cause = refusal;
    if ([attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
        cause = QEMUNegotiationError(@"The disk is not there.", @"device.attachment.URL",
                                     (VZNetworkBlockDeviceStorageDeviceAttachment *)attachment, words);
    else
        cause = QEMULockedDiskError([@"device.attachment." stringByAppendingString:attachment.propertyOfData],
                                    attachment.shownData, words)
                    ?: refusal;
    if (cause == refusal)
        words = [NSString stringWithFormat:@"device.attachment.%@ is %@: %@.", attachment.propertyOfData,
                                           attachment.shownData, words];
    return attach_error(VZErrorDeviceInitializationFailure, cause != refusal ? cause.localizedFailureReason : words,
                        cause.localizedRecoverySuggestion, cause);
}

- (void)attachDevice:(id<VZUSBDevice>)given completionHandler:(void (^)(NSError *))completionHandler {
    [_machine checkQueue];
    VZUSBMassStorageDevice *device = (VZUSBMassStorageDevice *)given;
    NSError *error = [self errorOfAttaching:device];
    QEMUBlockNode *node = error == nil ? [QEMUBlockNode nodeOf:device.configuration.attachment
                                                            as:@"device.attachment"
                                                    savedState:nil
                                                        limits:_instance.commandLine.limits
                                                         error:&error]
                                       : nil;
    if (node == nil) {
        [self complete:completionHandler withError:error];
        return;
    }
    QEMUUSBDisk *disk = [[QEMUUSBDisk alloc] initWithConfiguration:device.configuration
                                                        controller:_index
                                                              port:[self freePort]];
    device.disk = disk;
    [_arriving addObject:device];
    QEMUInstance *instance = _instance;
    __weak VZUSBController *weak_self = self;
    [disk plug:node
              into:instance
        completion:^(NSError *refusal) {
            VZUSBController *controller = weak_self;
            [controller arrived:device in:instance refusal:refusal completion:completionHandler];
            if (controller == nil)
                completionHandler(refusal);
        }];
}

- (void)arrived:(VZUSBMassStorageDevice *)device
             in:(QEMUInstance *)instance
        refusal:(NSError *)refusal
     completion:(USBCompletion)completion {
    [_arriving removeObjectIdenticalTo:device];
    if (refusal == nil && instance == _instance) {
        [self keep:device];
        completion(nil);
        return;
    }
    device.disk = nil;
    completion(instance == _instance && instance.isAnswering
                   ? [self errorOfRefusal:refusal of:device]
                   : attach_error(VZErrorOperationCancelled, @"The virtual machine ended while it was under way.", nil,
                                  refusal));
}

#pragma mark Detaching

- (void)detachDevice:(id<VZUSBDevice>)given completionHandler:(void (^)(NSError *))completionHandler {
    [_machine checkQueue];
    VZUSBMassStorageDevice *device = (VZUSBMassStorageDevice *)given;
    NSError *error = nil;
    if (given == nil || [_attached indexOfObjectIdenticalTo:device] == NSNotFound)
        error = VZErrorWithReason(
            VZErrorDeviceNotFound, @"The USB device could not be detached.",
            [NSString stringWithFormat:@"It is not attached to usbControllers[%lu].", (unsigned long)_index],
            @"Detach a device that is in usbDevices of the controller.", nil);
    else if (device.disk.isBusy)
        error = VZErrorWithReason(VZErrorInvalidVirtualMachineState, @"The USB device could not be detached.",
                                  @"It is being detached already.", nil, nil);
    else
        error = [_machine errorOfExchangingDevices:@"detach"];
    if (error != nil) {
        [self complete:completionHandler withError:error];
        return;
    }
    QEMUUSBDisk *disk = device.disk;
    QEMUInstance *instance = _instance;
    __weak VZUSBController *weak_self = self;
    void (^takeOut)(void) = ^{
        [disk takeOutOf:instance
             completion:^(NSError *refusal) {
                 VZUSBController *controller = weak_self;
                 if (disk.isOut)
                     [controller forget:device];
                 completionHandler(refusal);
             }];
    };
    QEMUNetworkDiskWatch *watch = _watches[device.uuid];
    [_watches removeObjectForKey:device.uuid];
    if (watch == nil)
        takeOut();
    else
        [watch endWithCompletion:takeOut];
}

@end
