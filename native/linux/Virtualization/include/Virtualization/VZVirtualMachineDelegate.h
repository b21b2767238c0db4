// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZNetworkDevice;
@class VZVirtualMachine;

/// What happens to a machine without having been asked for. Called on the machine's queue.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @protocol VZVirtualMachineDelegate<NSObject>

@optional

/// The guest turned the machine off.
- (void)guestDidStopVirtualMachine:(VZVirtualMachine *)virtualMachine;

/// The machine stopped because of error.
- (void)virtualMachine:(VZVirtualMachine *)virtualMachine didStopWithError:(NSError *)error;

/// A network card lost what it was connected to because of error; its attachment is nil now.
- (void)virtualMachine:(VZVirtualMachine *)virtualMachine
                         networkDevice:(VZNetworkDevice *)networkDevice
    attachmentWasDisconnectedWithError:(NSError *)error API_AVAILABLE(macos(12.0));

@end

NS_ASSUME_NONNULL_END
