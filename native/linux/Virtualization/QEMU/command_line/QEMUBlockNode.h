// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import "QEMU/storage/QEMUCarriedDisk.h"
#import <applevz_extensions.h>
#import <Virtualization/Virtualization.h>

@class QEMUSavedState, VZNewFile;

NS_ASSUME_NONNULL_BEGIN

/// A server that QEMU connects to for a disk: at a port of whichever host, or at a path, as it says it.
@interface QEMUDiskServer : NSObject
- (instancetype)initWithPort:(NSUInteger)port NS_DESIGNATED_INITIALIZER;
- (instancetype)initWithPath:(NSString *)path
                      folder:(nullable HostDescriptor *)folder
                        name:(nullable NSString *)name NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;
@property (readonly) NSUInteger port;
@property (readonly, nullable) NSString *path;
/// What that path leads to, where it is one of QEMU's process alone: a folder, and the socket's name in it.
@property (readonly, nullable) HostDescriptor *folder;
@property (readonly, nullable) NSString *name;
@end

/// What QEMU opens for a disk: one file or server, or the images of which each holds what differs from the next, told
/// one by one. What an image says itself of that is never opened.
@interface QEMUBlockNode : NSObject

/// nil, with an error whose reason begins with the property, where it cannot be used any more. With a saved state, what
/// that holds of the disk is copied, or, where the state is mapped, lies in its file beneath an overlay of its own.
/// What the limits say of all disks is the group's that there is in the QEMU (QEMUThrottleGroup).
+ (nullable instancetype)nodeOf:(VZStorageDeviceAttachment *)attachment
                             as:(NSString *)property
                     savedState:(nullable QEMUSavedState *)state
                         limits:(AppleVZResourceLimits)limits
                          error:(NSError **)error;

/// What of it a saved state is to hold; nil for a disk of which it holds nothing.
@property (readonly, nullable) QEMUCarriedDisk *carriedDisk;

/// The file that takes the place of the attachment's image once the machine is restored, where there is one.
@property (readonly, nullable) VZNewFile *replacement;

/// What is handed to QEMU to be opened; none where QEMU opens nothing, as for a server at a host's port.
@property (readonly) NSArray<HostDescriptor *> *descriptors;

/// Whether QEMU can open the descriptors' files anew, by paths in /proc/self/fd. Its locks are then its own: those of a
/// descriptor that somebody else has too may outlive it.
@property (readonly) BOOL canBeReopened;

/// Whether it can use the descriptors as they are. Both can be.
@property (readonly) BOOL canBeUsed;

/// What belongs into the set of a descriptor of its, beside that: the same file, open to pass by the host's page cache
/// (O_DIRECT). From version 9.1 on QEMU takes of a set what is open so if, and only if, it opens for that; and of one
/// disk it opens some files so, and others not. nil where there is no need for it, or the file system has none, which
/// QEMU tells.
- (nullable HostDescriptor *)directOneBeside:(HostDescriptor *)descriptor;

/// What blockdev-add takes. A path stands for each descriptor.
- (NSDictionary *)optionsWithName:(NSString *)name paths:(NSArray<NSString *> *)paths;

/// What it connects to by these paths; nil for a disk without a server.
- (nullable QEMUDiskServer *)serverWithPaths:(NSArray<NSString *> *)paths;

@end

/// What -object takes for what the disks of a machine with these limits share; nil where they do not need it.
NSDictionary *_Nullable QEMUThrottleGroup(AppleVZResourceLimits limits);

NS_ASSUME_NONNULL_END
