// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import <Virtualization/Virtualization.h>
#import "host/confinement/HostConfinement.h"
#import <sys/types.h>

NS_ASSUME_NONNULL_BEGIN

/// Whom QEMU runs as, of a program that is root: a user of its own, so that the kernel itself keeps it from the
/// processes and files of all others, those of the other machines too.
@interface QEMUUser : NSObject

/// Why no machine has one here; nil where those have one that nothing else keeps from it.
+ (nullable NSError *)missingError;

/// For a machine of that configuration, and of a saved state whose memory it maps privately. nil, with the reason, for
/// one whose QEMU runs as this process does.
+ (nullable QEMUUser *)userForConfiguration:(VZVirtualMachineConfiguration *)configuration
                              privateMemory:(BOOL)hasPrivateMemory
                                     reason:(NSError *_Nonnull *_Nonnull)reason;
- (instancetype)init NS_UNAVAILABLE;

@property (readonly) uid_t number;
/// By which it has this host's devices; 0 for none.
@property (readonly) gid_t deviceGroup;

@end

/// Whether that user, or with nil that of this process, needs rights that only root has to open it anew, as it is open
/// here, or for writing too. Of a pipe, a socket or a folder: NO.
BOOL QEMUNeedsRights(HostDescriptor *descriptor, QEMUUser *_Nullable user, BOOL writing);

/// What of it may be done once it is opened anew; 0 for what cannot be opened.
host_access QEMUAccessOfDescriptor(HostDescriptor *descriptor, BOOL writing);

NS_ASSUME_NONNULL_END
