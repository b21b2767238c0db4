// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDirectorySharingDeviceConfiguration.h>
#import <Virtualization/VZDirectoryShare.h>

NS_ASSUME_NONNULL_BEGIN

/// A virtio file system, which a Linux guest mounts by its tag: mount -t virtiofs <tag> <folder>. A machine that has
/// one cannot be saved, and needs the program virtiofsd and the right to make a mount namespace.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZVirtioFileSystemDeviceConfiguration
    : VZDirectorySharingDeviceConfiguration

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The tag must be valid.
- (instancetype)initWithTag:(NSString *)tag NS_DESIGNATED_INITIALIZER;

/// Whether tag can be used as one: not empty, and less than 36 bytes in UTF-8.
+ (BOOL)validateTag:(NSString *)tag error:(NSError **)error;

/// By which the guest mounts it. It must be valid, and another one than those of the machine's other devices.
@property (copy) NSString *tag;

/// What the guest finds in it. The default is nil: nothing.
@property (nullable, strong) VZDirectoryShare *share;

/// The tag that macOS guests mount by themselves.
@property (class, readonly) NSString *macOSGuestAutomountTag API_AVAILABLE(macos(13.0));

@end

NS_ASSUME_NONNULL_END
