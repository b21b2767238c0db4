// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZStorageDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// A virtio block device: vda, vdb, … in Linux.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioBlockDeviceConfiguration : VZStorageDeviceConfiguration

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

- (instancetype)initWithAttachment:(VZStorageDeviceAttachment *)attachment NS_DESIGNATED_INITIALIZER;

/// Whether blockDeviceIdentifier can be used as one: ASCII characters, at most 20 of them.
+ (BOOL)validateBlockDeviceIdentifier:(NSString *)blockDeviceIdentifier
                                error:(NSError **)error API_AVAILABLE(macos(12.3));

/// The serial number that the guest reads from the disk. Empty, the default, for none.
@property (copy) NSString *blockDeviceIdentifier API_AVAILABLE(macos(12.3));

@end

NS_ASSUME_NONNULL_END
