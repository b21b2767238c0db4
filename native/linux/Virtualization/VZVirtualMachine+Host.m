// SPDX-License-Identifier: Apache-2.0
#import "QEMU/QEMUAccelerator.h"
#import "QEMU/QEMUProgram.h"
#import "QEMU/QEMUSharedDirectories.h"
#import "VZErrors+Private.h"
#import "VZVirtualMachine+Private.h"
#import <dispatch/poller.h>

@implementation VZVirtualMachine (Host)

+ (NSError *)applevzUnsupportedError {
    NSError *error = nil;
    return [QEMUProgram pathWithError:&error] != nil ? nil : error;
}

+ (void)applevzServeQuickQueue:(dispatch_queue_t)queue {
    dispatch_poller_serve_queue(queue);
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

+ (NSError *)applevzSoundError {
    return VZErrorWithReason(VZErrorNotSupported, @"Guests have no sound on this host.",
                             @"QEMU 7.2, which machines have to run on, has no virtio sound device.", nil, nil);
}

@end
