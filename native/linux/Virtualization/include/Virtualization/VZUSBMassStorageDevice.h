// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZStorageDevice.h>
#import <Virtualization/VZUSBDevice.h>

NS_ASSUME_NONNULL_BEGIN

@class VZUSBMassStorageDeviceConfiguration;

/// A USB disk that can be attached to a machine's controller while the machine is there. Those of the configuration are
/// in usbDevices of their controller.
VZ_EXPORT API_AVAILABLE(macos(15.0)) @interface VZUSBMassStorageDevice : VZStorageDevice<VZUSBDevice>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The configuration is copied.
- (instancetype)initWithConfiguration:(VZUSBMassStorageDeviceConfiguration *)configuration NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
