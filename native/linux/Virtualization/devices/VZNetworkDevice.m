// SPDX-License-Identifier: Apache-2.0
#import "QEMU/network/QEMUNetwork.h"
#import "QEMU/process/QEMUConfinement.h"
#import "host/HostTap.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "machine/VZVirtualMachine+Private.h"

@implementation VZNetworkDevice {
    QEMUInstance *_instance;
    NSUInteger _index;
    dispatch_queue_t _queue;
    NSInteger _frameCapacity;               // of the card, which was told the guest once
    VZNetworkDeviceAttachment *_configured; // what QEMU starts with
    VZNetworkDeviceAttachment *_attachment;
    VZNetworkDeviceAttachment *_inPlace; // what QEMU has, or has been told to have; nil while there is no QEMU
    NSUInteger _exchanges;               // by which the last is known
    NSString *_interfaceName;            // of the host's, of what is in place, where that is a bridge's port
    BOOL _isOpening;                     // what is in place is not there yet, and a cable must not be
}

- (instancetype)initWithIndex:(NSUInteger)index
                   attachment:(VZNetworkDeviceAttachment *)attachment
                        queue:(dispatch_queue_t)queue {
    self = [super init];
    if (self != nil) {
        _index = index;
        _queue = queue;
        _frameCapacity = attachment.frameCapacity;
        _configured = attachment;
        _attachment = attachment;
    }
    return self;
}

- (VZNetworkDeviceAttachment *)attachment {
    return _attachment;
}

- (void)setAttachment:(VZNetworkDeviceAttachment *)attachment {
    _attachment = attachment;
    NSError *error = [self errorOfAttaching:attachment];
    if (error != nil)
        [self loseAttachmentWithError:error];
    else
        [self bringAbout];
}

/// Why it cannot be the card's; nil where it can.
- (NSError *)errorOfAttaching:(VZNetworkDeviceAttachment *)attachment {
    NSString *property = [NSString stringWithFormat:@"networkDevices[%lu].attachment", (unsigned long)_index];
    NSError *error = nil;
    if (attachment == nil || attachment == _configured)
        return nil;
    if (![attachment validateAs:property error:&error])
        return error;
    if (attachment.frameCapacity >= _frameCapacity)
        return nil;
    return VZErrorWithReason(
        VZErrorNetworkError, @"The network device could not be connected.",
        [NSString stringWithFormat:@"%@ takes frames of %ld bytes, but the guest knows its card as one "
                                   @"of %ld.",
                                   property, (long)attachment.frameCapacity, (long)_frameCapacity],
        @"Give it a maximumTransmissionUnit that is not less than the configuration's.", nil);
}

- (void)loseAttachmentWithError:(NSError *)error {
    _attachment = nil;
    [self tellLink];
    if (self.disconnectionHandler != nil)
        self.disconnectionHandler(self, VZErrorWithReason(VZErrorNetworkError, @"The network device was disconnected.",
                                                          error.localizedFailureReason ?: error.localizedDescription,
                                                          error.localizedRecoverySuggestion, error));
}

/// Has QEMU have the attachment, and the guest a cable where there is one.
- (void)bringAbout {
    if (_instance != nil && _attachment != nil && _attachment != _inPlace)
        [self exchange];
    else
        [self tellLink];
}

/// Takes the network from its place and puts another one there. QEMU obeys in order, so nothing of it has to be waited
/// for.
- (void)exchange {
    NSError *refusal = [self errorOfRequiredConfinement];
    if (refusal != nil) {
        [self loseAttachmentWithError:refusal];
        return;
    }
    // The guest is to notice, and to ask for another address; and nothing of it may come while there is no network: a
    // frame that the hub keeps holds up the card for good (net/hub.c).
    [self tellLink:NO];
    [self remove:QEMUNameOfNetworkPort(_index)];
    [self remove:QEMUNameOfNetwork(_index)];
    // Whatever becomes of it, nothing is there any more that another call could leave as it is.
    _inPlace = _attachment;
    QEMUReachOfNetwork(_instance.supervisor, _index, _attachment);
    _interfaceName = nil;
    NSUInteger exchange = ++_exchanges;
    NSUInteger index = _index;
    VZNetworkDeviceAttachment *attachment = _attachment;
    QEMUNetwork *present = [QEMUNetwork networkOf:attachment index:index askingHelper:NO error:&refusal];
    _isOpening = present == nil && [attachment isKindOfClass:[VZBridgedNetworkDeviceAttachment class]] &&
                 HostTapMayTakeHelper(refusal);
    if (!_isOpening) {
        [self put:present error:refusal];
        return;
    }
    // The queue does not wait for a program.
    dispatch_queue_t queue = _queue;
    __weak QEMUInstance *weak_instance = _instance;
    __weak VZNetworkDevice *weak_self = self;
    dispatch_async(dispatch_get_global_queue(QOS_CLASS_USER_INITIATED, 0), ^{
        NSError *error = nil;
        QEMUNetwork *network;
        @autoreleasepool {
            network = [QEMUNetwork networkOf:attachment index:index askingHelper:YES error:&error];
        }
        dispatch_async(queue, ^{
            VZNetworkDevice *device = weak_self;
            QEMUInstance *instance = weak_instance;
            if (device != nil && instance != nil && device->_instance == instance && device->_exchanges == exchange)
                [device put:network error:error];
        });
    });
}

/// A machine that must not reach its host does not by being told so later. nil where nothing is against it.
- (NSError *)errorOfRequiredConfinement {
    if ((_instance.commandLine.requiredConfinement & AppleVZConfinementHostAddresses) == 0 ||
        ![_attachment isKindOfClass:[VZNATNetworkDeviceAttachment class]] ||
        ![(VZNATNetworkDeviceAttachment *)_attachment applevzReachesHost])
        return nil;
    return VZErrorWithReason(VZErrorNotSupported, @"The network device could not be connected.",
                             @"Its network reaches this host, and the machine is required to reach no address of this "
                             @"host's.",
                             @"Give it a network without access to the host.", nil);
}

/// The last exchange's.
- (void)put:(nullable QEMUNetwork *)network error:(nullable NSError *)error {
    NSUInteger exchange = _exchanges;
    NSString *name = [NSString stringWithFormat:@"network%lu-descriptor", (unsigned long)_index];
    _isOpening = NO;
    _interfaceName = network.interfaceName;
    if (network == nil) {
        _inPlace = nil;
        // Taken away meanwhile, it is not lost.
        if (_attachment != nil)
            [self loseAttachmentWithError:error];
        return;
    }
    if (network.descriptor != nil)
        [_instance execute:@"getfd"
                 arguments:@{@"fdname" : name}
                descriptor:network.descriptor
                completion:[self completionOfExchange:exchange]];
    [_instance execute:@"netdev_add"
             arguments:[network optionsWithDescriptor:name]
            completion:[self completionOfExchange:exchange]];
    [_instance execute:@"netdev_add" arguments:QEMUNetworkPort(_index) completion:[self completionOfExchange:exchange]];
    [self tellLink];
}

- (void)remove:(NSString *)name {
    [_instance execute:@"netdev_del"
             arguments:@{@"id" : name}
            completion:^(id result, NSError *refusal) {
                (void)result;
                (void)refusal; // after an exchange that failed there is none
            }];
}

- (QMPCompletion)completionOfExchange:(NSUInteger)exchange {
    __weak VZNetworkDevice *weak_self = self;
    return ^(id result, NSError *refusal) {
        (void)result;
        VZNetworkDevice *device = weak_self;
        // The end of QEMU has its own way to be told, and what came after has its own success.
        if (refusal == nil || device == nil || !device->_instance.isAnswering || device->_exchanges != exchange ||
            device->_inPlace == nil)
            return;
        device->_inPlace = nil;
        [device loseAttachmentWithError:refusal];
    };
}

- (void)tellLink {
    [self tellLink:_attachment != nil && !_isOpening];
}

- (void)tellLink:(BOOL)isUp {
    [_instance
           execute:@"set_link"
         arguments:@{@"name" : QEMUNameOfCardPort(_index), @"up" : [NSNumber numberWithBool:isUp]}
        completion:^(id result, NSError *refusal) {
            (void)result;
            (void)refusal; // there is nothing in it that could be refused; an end of QEMU has its own way to be told
        }];
}

/// A restored card has the cable as it was when it was saved.
- (void)instanceReady:(QEMUInstance *)instance {
    _instance = instance;
    _inPlace = _configured;
    _interfaceName = instance.commandLine.networkInterfaces[@(_index)];
    [self bringAbout];
}

- (void)instanceEnded {
    _instance = nil;
    _inPlace = nil;
    _interfaceName = nil;
    _isOpening = NO;
}

- (NSString *)hostInterfaceName {
    return _interfaceName;
}

@end
