// SPDX-License-Identifier: Apache-2.0
// What a framework tells the delegate of a machine of which Apple's tells nothing. The delegate is asked whether it
// responds; the bridge's does.
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtualMachine;

/// A VZVirtualMachine's delegate. Called on the machine's queue.
@protocol AppleVZGuestReports <NSObject>
/// The guest's kernel said to a device for it that it panicked.
- (void)applevzGuestDidPanicInVirtualMachine:(VZVirtualMachine *)virtualMachine;
/// The guest starts anew in place, or the machine is about to stop because of that.
- (void)applevzGuestDidResetInVirtualMachine:(VZVirtualMachine *)virtualMachine;
/// What the guest wrote to a disk found no room on this host, and failed: the first time since the machine was started.
/// The index is that of the configuration's storage device; NSNotFound for a USB device, of which it has the UUID.
- (void)applevzVirtualMachine:(VZVirtualMachine *)virtualMachine
                storageDevice:(NSUInteger)index
                    usbDevice:(nullable NSUUID *)uuid
              isFullWithError:(NSError *)error;
@end

NS_ASSUME_NONNULL_END
