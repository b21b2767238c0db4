// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZStorageDeviceConfiguration.h>
#import <Virtualization/VZUSBDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A USB disk: sda, sdb, … in Linux, which looks for them in no certain order, on ports of a USB controller in the
/// order of the configuration. In VZVirtualMachineConfiguration.storageDevices it is there as long as the machine; on a
/// VZUSBControllerConfiguration it can be detached.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZUSBMassStorageDeviceConfiguration
    : VZStorageDeviceConfiguration<VZUSBDeviceConfiguration>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

- (instancetype)initWithAttachment:(VZStorageDeviceAttachment *)attachment NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
