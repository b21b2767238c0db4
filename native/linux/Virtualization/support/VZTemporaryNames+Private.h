// SPDX-License-Identifier: Apache-2.0
#import "HostDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

// A file may need a name before it gets its own: to take the place of another one in one step, or where a file system
// has no files without a name. A process that is killed meanwhile leaves it. So whoever makes a file holds it by a lock
// as long as it has such a name, and the next one removes what nobody holds. The lock is that of an open file
// description, which goes with the last process that has it, on a network file system too.

/// A name that nobody else has.
extern NSString *VZNewTemporaryName(void);

/// NO where somebody else has it in hand, who is about to remove it. A file system without locks says YES, and nobody
/// can remove what is left there.
extern BOOL VZHoldTemporaryFile(HostDescriptor *file);

/// Lets it go: QEMU's locks are on the same file once it is a disk.
extern void VZLetGoOfTemporaryFile(HostDescriptor *file);

/// A new file with such a name, open for reading and writing, that is held. nil with an error of NSPOSIXErrorDomain.
extern HostDescriptor *_Nullable VZNewTemporaryFile(HostDescriptor *folder, int flags,
                                                    NSString *_Nullable __autoreleasing *_Nonnull name,
                                                    NSError *_Nullable __autoreleasing *_Nullable error);

/// Removes files of this user with such names from a folder, which nobody holds. Looks at a bounded number of names.
extern void VZRemoveLeftFiles(HostDescriptor *folder);

NS_ASSUME_NONNULL_END
