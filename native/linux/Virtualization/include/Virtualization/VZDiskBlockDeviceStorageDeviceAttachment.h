// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDiskSynchronizationMode.h>
#import <Virtualization/VZStorageDeviceAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/// A block device of this host, by an open file handle. What the guest writes there is gone: see to it that nobody else
/// uses it. A machine that has one cannot be saved.
VZ_EXPORT API_AVAILABLE(macos(14.0)) @interface VZDiskBlockDeviceStorageDeviceAttachment : VZStorageDeviceAttachment

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// nil and an error (VZErrorInvalidDiskImage) if the handle is not one of a block device that can be read. The handle
/// is kept, and has to be open when the machine starts. A handle that was opened for reading only makes a disk that the
/// guest can only read, whatever readOnly says.
- (nullable instancetype)initWithFileHandle:(NSFileHandle *)fileHandle
                                   readOnly:(BOOL)readOnly
                        synchronizationMode:(VZDiskSynchronizationMode)synchronizationMode
                                      error:(NSError **)error NS_DESIGNATED_INITIALIZER;

@property (readonly, strong) NSFileHandle *fileHandle;

/// As it was given.
@property (readonly, getter=isReadOnly) BOOL readOnly;

@property (readonly) VZDiskSynchronizationMode synchronizationMode;

@end

NS_ASSUME_NONNULL_END
