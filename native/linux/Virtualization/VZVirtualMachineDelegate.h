// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtualMachine;

/*! What happens to a machine without having been asked for. Called on the machine's queue. */
VZ_EXPORT API_AVAILABLE(macos(11.0))
@protocol VZVirtualMachineDelegate <NSObject>

@optional

/*! The guest turned the machine off. */
- (void)guestDidStopVirtualMachine:(VZVirtualMachine *)virtualMachine;

/*! The machine stopped because of error. */
- (void)virtualMachine:(VZVirtualMachine *)virtualMachine didStopWithError:(NSError *)error;

@end

NS_ASSUME_NONNULL_END
