// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "QEMUCommandLine+Private.h"

NSString *QEMUNameOfConsolePort(NSUInteger device, NSUInteger port) {
    return [NSString stringWithFormat:@"console%lu-port%lu", (unsigned long)device, (unsigned long)port];
}

@implementation QEMUCommandLine (ConsoleDevices)

- (BOOL)addConsoleDevices:(NSArray<VZConsoleDeviceConfiguration *> *)devices
                  waiting:(BOOL)waiting
                    error:(NSError **)error {
    NSUInteger index = 0;
    for (VZConsoleDeviceConfiguration *device in devices) {
        VZVirtioConsolePortConfigurationArray *ports = ((VZVirtioConsoleDeviceConfiguration *)device).ports;
        NSString *bus = [NSString stringWithFormat:@"console%lu", (unsigned long)index];
        // QEMU keeps the first number for a console. With more ports than that one its guest's driver asks for them
        // all.
        [self addDevice:@"virtio-serial" properties:@{@"id" : bus, @"max_ports" : @(ports.maximumPortCount + 1)}];
        for (NSNumber *place in ports.places) {
            VZVirtioConsolePortConfiguration *port = ports[place.unsignedIntegerValue];
            if (![self addConsolePort:port device:index place:place.unsignedIntegerValue waiting:waiting error:error])
                return NO;
        }
        index++;
    }
    return YES;
}

- (BOOL)addConsolePort:(VZVirtioConsolePortConfiguration *)port
                device:(NSUInteger)device
                 place:(NSUInteger)place
               waiting:(BOOL)waiting
                 error:(NSError **)error {
    NSString *identifier = QEMUNameOfConsolePort(device, place);
    NSString *property =
        [NSString stringWithFormat:@"consoleDevices[%lu].ports[%lu]", (unsigned long)device, (unsigned long)place];
    NSString *attachment = [property stringByAppendingString:@".attachment"];
    QEMUCharacterBackend *backend = [self backendOfAttachment:port.attachment property:attachment error:error];
    if (backend == nil)
        return NO;
    NSDictionary *options = backend.options;
    if (!port.isConsole && backend.canBeFull) {
        if (![self makeFullPipe:attachment error:error])
            return NO;
        if (waiting)
            options = _fullPipe.options;
    }
    _consolePorts[identifier] = backend;
    [self addCharacterDevice:identifier backend:backend options:options property:attachment];
    NSMutableDictionary *properties = [NSMutableDictionary dictionary];
    properties[@"driver"] = port.isConsole ? @"virtconsole" : @"virtserialport";
    properties[@"id"] = identifier;
    properties[@"bus"] = [NSString stringWithFormat:@"console%lu.0", (unsigned long)device];
    properties[@"nr"] = @(place + 1);
    properties[@"chardev"] = identifier;
    if (port.name != nil)
        properties[@"name"] = port.name;
    [_preparations addObject:[[QEMUPreparation alloc] initWithCommand:@"device_add"
                                                            arguments:properties
                                                             property:property]];
    return YES;
}

- (BOOL)makeFullPipe:(NSString *)property error:(NSError **)error {
    NSError *cause = nil;
    if (_fullPipe == nil)
        _fullPipe = [[QEMUFullPipe alloc]
            initWithPath:^(HostDescriptor *descriptor) {
                return [self pathOfDescriptor:descriptor];
            }
                   error:&cause];
    if (_fullPipe == nil)
        QEMUCannotOpen(error, property, cause);
    return _fullPipe != nil;
}

@end
