// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZStorageDeviceAttachment;

/// A disk of the machine. Abstract: make a VZVirtioBlockDeviceConfiguration.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZStorageDeviceConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// What on the host holds the disk's data.
@property (readonly, strong) VZStorageDeviceAttachment *attachment;

@end

NS_ASSUME_NONNULL_END
