// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "machine/VZVirtualMachine+Private.h"
#import <json_values.h>

@implementation VZVirtioConsoleDevice {
    NSMutableDictionary<NSString *, VZVirtioConsolePort *> *_portsByIdentifier;
    // Whether the guest has a port open, as far as that is known, which it is not when a guest was restored.
    NSMutableDictionary<NSString *, NSNumber *> *_isOpen;
}

- (instancetype)initWithIndex:(NSUInteger)index configuration:(VZVirtioConsoleDeviceConfiguration *)configuration {
    self = [super initForSubclass];
    if (self == nil)
        return nil;
    _portsByIdentifier = [NSMutableDictionary dictionary];
    _isOpen = [NSMutableDictionary dictionary];
    NSMutableDictionary<NSNumber *, VZVirtioConsolePort *> *ports = [NSMutableDictionary dictionary];
    for (NSNumber *place in configuration.ports.places) {
        NSUInteger number = place.unsignedIntegerValue;
        NSString *identifier = QEMUNameOfConsolePort(index, number);
        ports[place] = [[VZVirtioConsolePort alloc] initWithIdentifier:identifier
                                                         configuration:configuration.ports[number]];
        _portsByIdentifier[identifier] = ports[place];
    }
    _ports = [[VZVirtioConsolePortArray alloc] initWithPorts:ports
                                            maximumPortCount:configuration.ports.maximumPortCount];
    return self;
}

- (void)instanceReady:(QEMUInstance *)instance {
    for (NSString *identifier in _portsByIdentifier) {
        if (instance.commandLine.isFresh)
            _isOpen[identifier] = @NO;
        [_portsByIdentifier[identifier] instanceReady:instance];
    }
}

- (void)instanceRuns {
    for (VZVirtioConsolePort *port in _portsByIdentifier.allValues)
        [port instanceRuns];
}

- (void)instanceWillPause {
    for (VZVirtioConsolePort *port in _portsByIdentifier.allValues)
        [port instanceWillPause];
}

- (void)instanceEnded {
    for (VZVirtioConsolePort *port in _portsByIdentifier.allValues)
        [port instanceEnded];
    [_isOpen removeAllObjects];
}

- (void)takeEvent:(NSString *)name data:(NSDictionary *)data {
    NSString *identifier = [name isEqualToString:@"VSERPORT_CHANGE"] ? applevz_json_text(data, @"id") : nil;
    VZVirtioConsolePort *port = identifier != nil ? _portsByIdentifier[identifier] : nil;
    bool open = false;
    if (port == nil || !applevz_json_boolean(data, @"open", &open))
        return;
    NSNumber *known = _isOpen[identifier];
    _isOpen[identifier] = [NSNumber numberWithBool:open];
    // A restored guest's port is told of once, however it is. Otherwise what is told of twice was undone meanwhile:
    // QEMU leaves out what happens within a second of what it told last.
    if (known == nil && !open)
        return;
    if (known != nil && known.boolValue == open)
        [self tellPort:port isOpen:!open];
    [self tellPort:port isOpen:open];
}

- (void)tellPort:(VZVirtioConsolePort *)port isOpen:(BOOL)open {
    id<VZVirtioConsoleDeviceDelegate> delegate = self.delegate;
    if (open && [delegate respondsToSelector:@selector(consoleDevice:didOpenPort:)])
        [delegate consoleDevice:self didOpenPort:port];
    else if (!open && [delegate respondsToSelector:@selector(consoleDevice:didClosePort:)])
        [delegate consoleDevice:self didClosePort:port];
}

@end
