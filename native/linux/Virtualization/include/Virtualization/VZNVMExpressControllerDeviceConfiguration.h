// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZStorageDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// An NVM Express controller with one disk: nvme0n1, nvme1n1, … in Linux. A machine that has one cannot be saved.
VZ_EXPORT API_AVAILABLE(macos(14.0)) @interface VZNVMExpressControllerDeviceConfiguration : VZStorageDeviceConfiguration

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

- (instancetype)initWithAttachment:(VZStorageDeviceAttachment *)attachment NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
