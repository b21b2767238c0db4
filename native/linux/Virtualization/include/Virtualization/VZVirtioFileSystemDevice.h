// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDirectoryShare.h>
#import <Virtualization/VZDirectorySharingDevice.h>

NS_ASSUME_NONNULL_BEGIN

/// A virtio file system of a machine. Use it on its machine's queue.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZVirtioFileSystemDevice : VZDirectorySharingDevice

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// By which the guest mounts it.
@property (readonly, copy) NSString *tag;

/// What the guest finds in it. It can be set at any time while the machine is stopped. While it is there, a
/// VZMultipleDirectoryShare or nil can take the place of another one: the guest finds the folders changed, and what it
/// has open of one that is gone stays open to it until it lets go. A VZSingleDirectoryShare is what the guest has
/// mounted, and can be neither taken away nor put in then: an exception is raised, as for a share whose directories are
/// not valid.
@property (nullable, strong) VZDirectoryShare *share;

@end

NS_ASSUME_NONNULL_END
