// SPDX-License-Identifier: Apache-2.0
#import "VZConfiguration+Private.h"
#import "configuration/storage/VZNamedStorageDeviceAttachment+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"

@implementation VZVirtualMachineConfiguration (SaveRestore)

- (BOOL)validateSaveRestoreSupportWithError:(NSError **)error {
    if (![self validateWithError:error])
        return NO;
    NSError *unsaveable = self.saveError;
    return unsaveable == nil || VZRefuse(error, unsaveable);
}

- (NSError *)saveError {
    NSString *suggestion = nil;
    NSString *reason = [self reasonAgainstSavingConsolesWithSuggestion:&suggestion]
                           ?: [self reasonAgainstSavingStorageWithSuggestion:&suggestion]
                           ?: [self reasonAgainstSavingOtherDevicesWithSuggestion:&suggestion];
    if (reason == nil)
        return nil;
    return VZErrorWithReason(VZErrorInvalidVirtualMachineConfiguration,
                             @"A machine of this configuration cannot be saved.", reason, suggestion, nil);
}

- (NSString *)reasonAgainstSavingConsolesWithSuggestion:(NSString *_Nonnull *_Nonnull)suggestion {
    *suggestion = @"Leave the SPICE agent's port out.";
    NSUInteger index = 0;
    for (VZVirtioConsoleDeviceConfiguration *device in self.consoleDevices) {
        NSString *name = VZNameOfElement(@"consoleDevices", index++);
        for (NSNumber *place in device.ports.places)
            if ([device.ports[place.unsignedIntegerValue].attachment isKindOfClass:[VZSpiceAgentPortAttachment class]])
                return [NSString
                    stringWithFormat:@"%@.ports[%@].attachment is a VZSpiceAgentPortAttachment, whose state QEMU "
                                     @"does not save.",
                                     name, place];
    }
    return nil;
}

- (NSString *)reasonAgainstSavingStorageWithSuggestion:(NSString *_Nonnull *_Nonnull)suggestion {
    *suggestion = @"Use a VZVirtioBlockDeviceConfiguration.";
    NSUInteger index = 0;
    for (VZStorageDeviceConfiguration *device in self.storageDevices) {
        NSString *name = VZNameOfElement(@"storageDevices", index++);
        if ([device isKindOfClass:[VZNVMExpressControllerDeviceConfiguration class]])
            return [NSString stringWithFormat:@"%@ is a %@, whose state QEMU does not save.", name, [device class]];
    }
    // A guest knows its disk by heart: run on one that was written since, it destroys it.
    *suggestion = @"Use a VZDiskImageStorageDeviceAttachment.";
    for (VZNamedStorageDeviceAttachment *named in self.storageAttachments)
        if (![named.attachment isKindOfClass:[VZDiskImageStorageDeviceAttachment class]])
            return [NSString
                stringWithFormat:@"%@.attachment is a %@, of which nobody can tell later whether it was written "
                                 @"since.",
                                 named.name, [named.attachment class]];
    return nil;
}

/// Those of which one is as bad as another.
- (NSString *)reasonAgainstSavingOtherDevicesWithSuggestion:(NSString *_Nonnull *_Nonnull)suggestion {
    if (self.directorySharingDevices.count > 0) {
        VZVirtioFileSystemDeviceConfiguration *device =
            (VZVirtioFileSystemDeviceConfiguration *)self.directorySharingDevices[0];
        *suggestion = @"Take the directory sharing devices out of the configuration.";
        return [NSString
            stringWithFormat:@"%@ (tag %@) is a %@, whose state, that of the process which serves it too, QEMU "
                             @"does not save.",
                             VZNameOfElement(@"directorySharingDevices", 0), VZQuoted(device.tag), [device class]];
    }
    if (self.audioDevices.count > 0) {
        *suggestion = @"Take the audio devices out of the configuration.";
        return [NSString stringWithFormat:@"%@ is a %@, whose state QEMU does not save.",
                                          VZNameOfElement(@"audioDevices", 0), [self.audioDevices[0] class]];
    }
    if (self.socketDevices.count > 0) {
        *suggestion = @"Leave it out of socketDevices.";
        return [NSString stringWithFormat:@"%@ is a %@, whose connections are the host kernel's, which are not saved.",
                                          VZNameOfElement(@"socketDevices", 0), [self.socketDevices[0] class]];
    }
    return nil;
}

@end
