// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZStorageDeviceAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/// Whether the host keeps an image's data in its page cache.
typedef NS_ENUM(NSInteger, VZDiskImageCachingMode) {
    /// The framework decides.
    VZDiskImageCachingModeAutomatic = 0,

    /// The page cache is passed by.
    VZDiskImageCachingModeUncached = 1,

    /// The page cache is used.
    VZDiskImageCachingModeCached = 2,
} API_AVAILABLE(macos(12.0));

/// How far a flush by the guest reaches on the host.
typedef NS_ENUM(NSInteger, VZDiskImageSynchronizationMode) {
    /// Onto the medium: what was flushed survives a loss of power.
    VZDiskImageSynchronizationModeFull = 1,

    /// As far as fsync() of the host goes.
    VZDiskImageSynchronizationModeFsync = 2,

    /// Nowhere: after a failure of the host the image cannot be used again.
    VZDiskImageSynchronizationModeNone = 3,
} API_AVAILABLE(macos(12.0));

/// A raw image in a file, or a block device, of this host. Its size is a multiple of 512 bytes.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZDiskImageStorageDeviceAttachment : VZStorageDeviceAttachment

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// With automatic caching and full synchronization.
- (nullable instancetype)initWithURL:(NSURL *)url readOnly:(BOOL)readOnly error:(NSError **)error;

/// nil and an error (VZErrorInvalidDiskImage) if the file is missing, is not a raw image, or cannot be opened for what
/// readOnly asks.
- (nullable instancetype)initWithURL:(NSURL *)url
                            readOnly:(BOOL)readOnly
                         cachingMode:(VZDiskImageCachingMode)cachingMode
                 synchronizationMode:(VZDiskImageSynchronizationMode)synchronizationMode
                               error:(NSError **)error API_AVAILABLE(macos(12.0))NS_DESIGNATED_INITIALIZER;

/// The image's file, as it was given.
@property (readonly, copy) NSURL *URL;

/// Whether the guest can only read.
@property (readonly, getter=isReadOnly) BOOL readOnly;

@property (readonly) VZDiskImageCachingMode cachingMode API_AVAILABLE(macos(12.0));

@property (readonly) VZDiskImageSynchronizationMode synchronizationMode API_AVAILABLE(macos(12.0));

@end

NS_ASSUME_NONNULL_END
