// SPDX-License-Identifier: Apache-2.0
#import "QEMUShareMounts.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

// The directories of a share, as the functions of QEMUShareMounts.h take them.

/// By the names under which the guest finds them; that of a VZSingleDirectoryShare, which has none, by an empty one.
NSDictionary<NSString *, VZSharedDirectory *> *QEMUDirectoriesOfShare(VZDirectoryShare *_Nullable share);

/// Where in its share the directory of that name is: "directories["name"]".
NSString *QEMUPropertyOfDirectory(NSString *name);

/// The names in an order, and for each the directory, in memory that is the caller's to free. The strings are those of the pool.
qemu_shared_directory *QEMUNativeDirectories(NSDictionary<NSString *, VZSharedDirectory *> *directories,
                                             NSArray<NSString *> *_Nonnull *_Nonnull names);

/// This user and group, as the root of a user namespace.
typedef struct {
    char user[32];
    char group[32];
} qemu_user_maps;
qemu_user_maps QEMUMapsOfUser(void);

/// Why no directories can be shared on this host; nil where they can. Makes a mount namespace to see.
NSError *_Nullable QEMUDirectorySharingError(void);

NS_ASSUME_NONNULL_END
