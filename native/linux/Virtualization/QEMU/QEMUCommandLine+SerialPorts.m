// SPDX-License-Identifier: Apache-2.0
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

- (QEMUCharacterBackend *)backendOfAttachment:(VZSerialPortAttachment *)attachment
                                     property:(NSString *)property
                                        error:(NSError **)error {
    return [[QEMUCharacterBackend alloc] initWithAttachment:attachment
                                                   property:property
                                                       path:^(QEMUDescriptor *descriptor) {
                                                           return [self pathOfDescriptor:descriptor];
                                                       }
                                                      error:error];
}

- (void)addCharacterDevice:(NSString *)identifier
                   backend:(QEMUCharacterBackend *)backend
                   options:(NSDictionary *)options
                  property:(NSString *)property {
    [_characterBackends addObject:backend];
    QEMUPreparation *preparation =
        [[QEMUPreparation alloc] initWithCommand:@"chardev-add"
                                       arguments:@{@"id" : identifier, @"backend" : options}
                                        property:property];
    preparation.backend = backend;
    [_preparations addObject:preparation];
}

@end
