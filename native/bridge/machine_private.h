// SPDX-License-Identifier: Apache-2.0
// What the two files of AppleVZMachine share: machine.m is its life, machine_devices.m what its devices tell.
#import "machine.h"

NS_ASSUME_NONNULL_BEGIN

@interface AppleVZMachine () {
    VZVirtualMachineConfiguration *_configuration; // a copy: what a discarded machine is replaced from

    // Used on the queue only.
    VZVirtualMachine *_virtualMachine; // nil between a discard and the next verb, and once invalidated
    NSMutableDictionary<NSUUID *, id> *_usbDisks; // the delegates of those that servers give out
}
@end

@interface AppleVZMachine (Devices) <VZVirtualMachineDelegate, VZVirtioConsoleDeviceDelegate>

/// Something that happens now and changes no state; to be added to the events.
- (AppleVZEvent *)eventOfKind:(enum applevz_event_kind)kind
                        cause:(enum applevz_event_cause)cause
                        error:(nullable NSError *)error;

/// NSNotFound for the device in an event of the machine's own.
- (void)addEventOfKind:(enum applevz_event_kind)kind
                 cause:(enum applevz_event_cause)cause
                device:(NSUInteger)device
                 error:(nullable NSError *)error;

/// The delegates of attachments are weak, as the machine's own.
- (void)setDelegateOfDevices:(nullable AppleVZMachine *)delegate;

@end

NS_ASSUME_NONNULL_END
