// SPDX-License-Identifier: Apache-2.0
#import "VZVirtualMachine+Host.h"
#import "QEMUAccelerator.h"
#import "QEMUFeatures.h"
#import "QEMUProgram.h"
#import "QEMUFileServerProgram.h"
#import "support/VZErrors+Private.h"
#import "support/VZLog+Private.h"
#import <dispatch/poller.h>

@implementation VZVirtualMachine (Host)

+ (NSError *)applevzUnsupportedError {
    NSError *error = nil;
    return [QEMUProgram pathWithError:&error] != nil ? nil : error;
}

+ (void)applevzServeQuickQueue:(dispatch_queue_t)queue {
    dispatch_poller_serve_queue(queue);
}

+ (void)applevzKeepLog:(BOOL)keep {
    VZKeepLog(keep);
}

+ (NSArray<NSArray *> *)applevzTakeLog {
    return VZTakeLog();
}

+ (NSError *)applevzDirectorySharingError {
    return [self applevzUnsupportedError] ?: QEMUDirectorySharingError();
}

+ (NSError *)applevzHardwareAccelerationError {
    NSError *unsupported = [self applevzUnsupportedError];
    if (unsupported != nil)
        return unsupported;
    NSString *reason = QEMUAccelerator.kvmMissingReason;
    if (reason == nil)
        return nil;
    return VZErrorWithReason(VZErrorNotSupported, @"Virtual machines are emulated on this host.", reason,
                             QEMUAccelerator.kvmMissingSuggestion, nil);
}

+ (NSError *)applevzErrorOfFeature:(NSString *)feature {
    static NSString *const installAdvice =
        @"Use a QEMU that was built with it, such as a distribution's: the environment "
        @"variable APPLEVZ_QEMU names one.";
    // What machines are made of, in QEMU's object model.
    NSDictionary<NSString *, NSArray<NSString *> *> *types = @{
        @"virtualization" :
            @[ @"microvm-machine", @"pvpanic", @"memory-backend-file", @"virtio-serial-device", @"virtio-serial-pci" ],
        @"hardware_acceleration" : @[ @"kvm-accel" ],
        @"generation_identifier" : @[ @"vmgenid", @"pcie-root-port" ],
        @"efi" : @[ @"cfi.pflash01" ],
        @"shared_directories" : @[ @"vhost-user-fs-device", @"vhost-user-fs-pci" ],
        @"sockets" : @[ @"vhost-vsock-device", @"vhost-vsock-pci" ],
        @"screenshots" : @[ @"virtio-gpu-pci" ],
        @"early_console" : @[ @"isa-serial" ],
        @"input_events" : @[ @"qemu-xhci", @"usb-kbd", @"usb-tablet" ],
        @"sound" : @[ @"virtio-sound-pci" ],
    };
    NSError *error = nil;
    QEMUFeatures *features = [QEMUFeatures featuresWithError:&error];
    if (features == nil)
        return error;
    NSString *type = [features missingType:types[feature] ?: @[]];
    if (type != nil)
        return VZErrorWithReason(VZErrorNotSupported, @"QEMU has not what this takes.",
                                 [NSString stringWithFormat:@"QEMU %@ has no %@.", features.version, type],
                                 installAdvice, nil);
    if (![feature isEqualToString:@"save_restore"])
        return nil;
    NSString *capability = [features missingMigrationCapability:@[ @"x-ignore-shared", @"events" ]];
    if (capability == nil)
        return nil;
    return VZErrorWithReason(
        VZErrorNotSupported, @"Machines cannot be saved on this host.",
        [NSString stringWithFormat:@"The migration of QEMU %@ does not know %@.", features.version, capability],
        installAdvice, nil);
}

+ (NSError *)applevzSoundError {
    return [self applevzErrorOfFeature:@"sound"];
}

@end
