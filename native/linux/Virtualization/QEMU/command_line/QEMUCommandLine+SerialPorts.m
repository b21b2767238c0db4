// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "QEMUCommandLine+Private.h"

@implementation QEMUCommandLine (SerialPorts)

- (BOOL)addSerialPorts:(NSArray<VZSerialPortConfiguration *> *)ports error:(NSError **)error {
    NSUInteger index = 0;
    for (VZSerialPortConfiguration *port in ports)
        if (![self addSerialPort:port index:index++ error:error])
            return NO;
    return YES;
}

- (BOOL)addSerialPort:(VZSerialPortConfiguration *)port index:(NSUInteger)index error:(NSError **)error {
    NSString *identifier = [NSString stringWithFormat:@"serial%lu", (unsigned long)index];
    NSString *property = [NSString stringWithFormat:@"serialPorts[%lu].attachment", (unsigned long)index];
    [self addDevice:@"virtio-serial" properties:@{@"id" : identifier, @"max_ports" : @1}];
    QEMUCharacterBackend *backend = [self backendOfAttachment:port.attachment property:property error:error];
    if (backend == nil)
        return NO;
    [self addCharacterDevice:identifier backend:backend options:backend.options property:property];
    NSDictionary *console = @{
        @"driver" : @"virtconsole",
        @"id" : [identifier stringByAppendingString:@"-console"],
        @"bus" : [identifier stringByAppendingString:@".0"],
        @"chardev" : identifier,
    };
    [_preparations addObject:[[QEMUPreparation alloc] initWithCommand:@"device_add"
                                                            arguments:console
                                                             property:property]];
    return YES;
}

/// The PC's first serial port. It is none that is added by QMP: there is no more room on its bus once a machine is
/// there. Nothing is typed there.
- (BOOL)addEarlyConsole:(VZBootLoader *)bootLoader error:(NSError **)error {
    VZSerialPortAttachment *attachment = [bootLoader isKindOfClass:[VZLinuxBootLoader class]]
                                             ? ((VZLinuxBootLoader *)bootLoader).applevzEarlyConsoleAttachment
                                             : nil;
    if (attachment == nil)
        return YES;
    QEMUCharacterBackend *backend = [self backendOfAttachment:attachment
                                                     property:@"bootLoader.earlyConsole"
                                                        error:error];
    if (backend == nil)
        return NO;
    [_characterBackends addObject:backend];
    // A path that this class made: no comma is in it.
    [self add:@"-chardev"
        value:[NSString stringWithFormat:@"file,id=early,append=on,path=%@", backend.options[@"data"][@"out"]]];
    [self add:@"-device" value:@"isa-serial,chardev=early"];
    [_platformFields addObject:@[ @"bootLoader.earlyConsole", @"YES" ]];
    return YES;
}

- (QEMUCharacterBackend *)backendOfAttachment:(VZSerialPortAttachment *)attachment
                                     property:(NSString *)property
                                        error:(NSError **)error {
    return [[QEMUCharacterBackend alloc] initWithAttachment:attachment
                                                      fresh:self.isFresh
                                                   property:property
                                                       path:^(HostDescriptor *descriptor) {
                                                           return [self pathOfDescriptor:descriptor];
                                                       }
                                                      error:error];
}

- (void)addCharacterDevice:(NSString *)identifier
                   backend:(QEMUCharacterBackend *)backend
                   options:(NSDictionary *)options
                  property:(NSString *)property {
    [_characterBackends addObject:backend];
    QEMUPreparation *preparation = [[QEMUPreparation alloc] initWithCommand:@"chardev-add"
                                                                  arguments:@{@"id" : identifier, @"backend" : options}
                                                                   property:property];
    preparation.backend = backend;
    [_preparations addObject:preparation];
}

@end
