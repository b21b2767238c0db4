// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZUSBDevice.h>

NS_ASSUME_NONNULL_BEGIN

/// A USB controller of a machine, from VZVirtualMachine.usbControllers; never made by a program. Use it on its
/// machine's queue, where it also calls back.
VZ_EXPORT API_AVAILABLE(macos(15.0)) @interface VZUSBController : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// Attaches a device to a machine that is Running or Paused. The block gets nil once it is in usbDevices; otherwise
/// VZErrorDeviceAlreadyAttached for one that is attached, here or elsewhere, VZErrorDeviceInitializationFailure for one
/// that cannot be, as for an image that cannot be opened, and VZErrorInvalidVirtualMachineState.
- (void)attachDevice:(id<VZUSBDevice>)device
    completionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler;

/// Detaches a device, without a word to the guest. The block gets nil once it is no longer in usbDevices, and nothing
/// of it is open any more; VZErrorDeviceNotFound for one that is not attached here.
- (void)detachDevice:(id<VZUSBDevice>)device
    completionHandler:(void (^)(NSError *_Nullable errorOrNil))completionHandler;

/// What is attached: of a machine that starts, the devices of the configuration; without a guest, nothing.
@property (readonly, copy) NSArray<id<VZUSBDevice>> *usbDevices;

@end

NS_ASSUME_NONNULL_END
