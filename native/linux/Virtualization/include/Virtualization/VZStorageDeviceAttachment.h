// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// What on the host holds a disk's data. Abstract: make a VZDiskImageStorageDeviceAttachment, a
/// VZDiskBlockDeviceStorageDeviceAttachment or a VZNetworkBlockDeviceStorageDeviceAttachment.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZStorageDeviceAttachment : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
