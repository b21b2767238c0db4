// SPDX-License-Identifier: Apache-2.0
// What must not be there twice in a configuration, though each is sound by itself.
#import "VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "configuration/storage/VZNamedStorageDeviceAttachment+Private.h"

@implementation VZVirtualMachineConfiguration (Distinctness)

// devices are those of one array, all of a class that has an attachment.
- (BOOL)validateAttachmentsAreDistinct:(NSArray *)devices as:(NSString *)property error:(NSError **)error {
    NSArray *attachments = [devices valueForKey:@"attachment"];
    for (NSUInteger i = 0; i < attachments.count; i++) {
        NSUInteger earlier = [attachments indexOfObjectIdenticalTo:attachments[i]];
        if (earlier < i && attachments[i] != [NSNull null]) {
            return VZRefuseConfiguration(
                error,
                [NSString stringWithFormat:@"%@.attachment is the same object as %@.attachment.",
                                           VZNameOfElement(property, i), VZNameOfElement(property, earlier)],
                @"Make an attachment of its own for each device.");
        }
    }
    return YES;
}

// A guest finds a port by its name, whichever device it is of.
- (BOOL)validateConsolePortsAreDistinctWithError:(NSError **)error {
    NSMutableArray *attachments = [[NSMutableArray alloc] init];
    NSMutableArray<NSString *> *owners = [[NSMutableArray alloc] init];
    NSMutableDictionary<NSString *, NSString *> *names = [[NSMutableDictionary alloc] init];
    for (NSUInteger i = 0; i < self.serialPorts.count; i++) {
        [attachments addObject:self.serialPorts[i].attachment ?: (id)[NSNull null]];
        [owners addObject:VZNameOfElement(@"serialPorts", i)];
    }
    for (NSUInteger i = 0; i < self.consoleDevices.count; i++) {
        VZVirtioConsolePortConfigurationArray *ports =
            [(VZVirtioConsoleDeviceConfiguration *)self.consoleDevices[i] ports];
        for (NSNumber *place in ports.places) {
            VZVirtioConsolePortConfiguration *port = ports[place.unsignedIntegerValue];
            NSString *owner = [NSString stringWithFormat:@"%@.ports[%@]", VZNameOfElement(@"consoleDevices", i), place];
            NSUInteger earlier = port.attachment ? [attachments indexOfObjectIdenticalTo:port.attachment] : NSNotFound;
            if (earlier != NSNotFound) {
                return VZRefuseConfiguration(
                    error,
                    [NSString
                        stringWithFormat:@"%@.attachment is the same object as %@.attachment.", owner, owners[earlier]],
                    @"Make an attachment of its own for each port.");
            }
            if (port.name && names[port.name]) {
                return VZRefuseConfiguration(error,
                                             [NSString stringWithFormat:@"%@.name is %@, as is %@.name.", owner,
                                                                        VZQuoted(port.name), names[port.name]],
                                             @"Give each port a name of its own, or none.");
            }
            if (port.name) {
                names[port.name] = owner;
            }
            [attachments addObject:port.attachment ?: (id)[NSNull null]];
            [owners addObject:owner];
        }
    }
    return YES;
}

- (BOOL)validateMACAddressesAreDistinctWithError:(NSError **)error {
    NSArray *addresses = [self.networkDevices valueForKey:@"MACAddress"];
    for (NSUInteger i = 0; i < addresses.count; i++) {
        NSUInteger earlier = [addresses indexOfObject:addresses[i]];
        if (earlier < i) {
            return VZRefuseConfiguration(error,
                                         [NSString stringWithFormat:@"%@.MACAddress is %@, as is %@.MACAddress.",
                                                                    VZNameOfElement(@"networkDevices", i),
                                                                    [addresses[i] string],
                                                                    VZNameOfElement(@"networkDevices", earlier)],
                                         @"Give each network device a MAC address of its own.");
        }
    }
    return YES;
}

- (BOOL)validateBlockDeviceIdentifiersAreDistinctWithError:(NSError **)error {
    NSMutableArray *identifiers = [[NSMutableArray alloc] init];
    for (VZStorageDeviceConfiguration *device in self.storageDevices) {
        NSString *identifier = @"";
        if ([device isKindOfClass:[VZVirtioBlockDeviceConfiguration class]]) {
            identifier = [(VZVirtioBlockDeviceConfiguration *)device blockDeviceIdentifier];
        }
        NSUInteger earlier = identifier.length > 0 ? [identifiers indexOfObject:identifier] : NSNotFound;
        if (earlier != NSNotFound) {
            return VZRefuseConfiguration(
                error,
                [NSString stringWithFormat:@"%@.blockDeviceIdentifier is %@, as is %@.blockDeviceIdentifier.",
                                           VZNameOfElement(@"storageDevices", identifiers.count), VZQuoted(identifier),
                                           VZNameOfElement(@"storageDevices", earlier)],
                @"Give each disk an identifier of its own, or none.");
        }
        [identifiers addObject:identifier];
    }
    return YES;
}

- (NSArray<VZNamedStorageDeviceAttachment *> *)storageAttachments {
    NSMutableArray<VZNamedStorageDeviceAttachment *> *attachments = [[NSMutableArray alloc] init];
    for (NSUInteger i = 0; i < self.storageDevices.count; i++) {
        [attachments
            addObject:[[VZNamedStorageDeviceAttachment alloc] initWithName:VZNameOfElement(@"storageDevices", i)
                                                                attachment:self.storageDevices[i].attachment]];
    }
    for (NSUInteger i = 0; i < self.usbControllers.count; i++) {
        NSArray *devices = self.usbControllers[i].usbDevices;
        NSString *list = [VZNameOfElement(@"usbControllers", i) stringByAppendingString:@".usbDevices"];
        for (NSUInteger j = 0; j < devices.count; j++) {
            [attachments addObject:[[VZNamedStorageDeviceAttachment alloc]
                                       initWithName:VZNameOfElement(list, j)
                                         attachment:[(VZStorageDeviceConfiguration *)devices[j] attachment]]];
        }
    }
    return attachments;
}

- (BOOL)validateStorageAttachmentsAreDistinctWithError:(NSError **)error {
    NSArray<VZNamedStorageDeviceAttachment *> *attachments = self.storageAttachments;
    for (NSUInteger i = 0; i < attachments.count; i++) {
        for (NSUInteger j = 0; j < i; j++) {
            if (attachments[i].attachment == attachments[j].attachment) {
                return VZRefuseConfiguration(
                    error,
                    [NSString stringWithFormat:@"%@.attachment is the same object as %@.attachment.",
                                               attachments[i].name, attachments[j].name],
                    @"Make an attachment of its own for each device.");
            }
        }
    }
    return YES;
}

- (BOOL)validateUSBDevicesAreDistinctWithError:(NSError **)error {
    NSMutableDictionary<NSUUID *, NSString *> *names = [[NSMutableDictionary alloc] init];
    for (NSUInteger i = 0; i < self.usbControllers.count; i++) {
        NSUInteger index = 0;
        for (id<VZUSBDeviceConfiguration> device in self.usbControllers[i].usbDevices) {
            NSString *list = [VZNameOfElement(@"usbControllers", i) stringByAppendingString:@".usbDevices"];
            NSString *name = VZNameOfElement(list, index++);
            if (names[device.uuid]) {
                return VZRefuseConfiguration(error,
                                             [NSString stringWithFormat:@"%@.uuid is %@, as is %@.uuid.", name,
                                                                        device.uuid.UUIDString, names[device.uuid]],
                                             @"Give each device one of its own.");
            }
            names[device.uuid] = name;
        }
    }
    return YES;
}

- (BOOL)validateDistinctnessWithError:(NSError **)error {
    return [self validateAttachmentsAreDistinct:self.networkDevices as:@"networkDevices" error:error] &&
           [self validateAttachmentsAreDistinct:self.serialPorts as:@"serialPorts" error:error] &&
           [self validateConsolePortsAreDistinctWithError:error] &&
           [self validateStorageAttachmentsAreDistinctWithError:error] &&
           [self validateUSBDevicesAreDistinctWithError:error] &&
           [self validateMACAddressesAreDistinctWithError:error] &&
           [self validateBlockDeviceIdentifiersAreDistinctWithError:error] &&
           VZValidateStorageIsDistinct(self.storageAttachments, error);
}

@end
