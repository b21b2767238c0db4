// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import "QEMU/storage/QEMUCarriedDisk.h"

NS_ASSUME_NONNULL_BEGIN

/// Where QEMU streams to: a file in memory, which no full disk can stop. A paused machine's is kept until it runs on,
/// since QEMU streams only once while its processors stand still.
@interface QEMUStateStream : NSObject
- (nullable instancetype)initWithError:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;
@property (readonly) HostDescriptor *file;
@end

/// Writes one saved state, in two steps, each at the disk's pace and on whatever thread. The file has no name while it
/// is written, and gets its name when it is whole: an end of this process, at whatever moment, leaves it whole or not
/// at all. It is not waited for until it is on the disk: what a host that lost its power lost of it, its checksums tell
/// when it is restored. A file of that name is never touched, or with `overwriting` replaced in one step by the whole
/// one, which those may read then who might read the old one. A step that fails gives an error of VZErrorSave, and has
/// given up.
@interface QEMUSavedStateWriter : NSObject

/// The memory is nil where it is in the stream. Its size is what it has to be: QEMU, which a guest may have taken over,
/// can change the length of each file that it has.
///
/// With `handingOver` the file that holds the memory becomes the saved state itself, where it can: where it is in the
/// file system of that folder. No page of it is copied then, and the machine must not run again once the last step has
/// succeeded.
- (instancetype)initWithPath:(NSString *)path
                      memory:(nullable HostDescriptor *)memory
                  memorySize:(uint64_t)memorySize
                 overwriting:(BOOL)overwriting
                 handingOver:(BOOL)handingOver NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// The first step, for which QEMU's stream need not be there: nothing writes to the memory of a machine that is paused.
- (BOOL)writeMemoryWithError:(NSError **)error;
/// The last one: writes what follows the memory, and gives the file its name. QEMU must have streamed by then, and
/// written out what it keeps of the overlays. The description is that of QEMUStateDescription.h.
- (BOOL)finishWithStream:(QEMUStateStream *)stream
                   disks:(NSArray<QEMUCarriedDisk *> *)disks
             description:(NSDictionary<NSString *, id> *)description
                   error:(NSError **)error;
/// Instead of the last step: what was written is gone, and its room free.
- (void)giveUp;

@end

/// VZErrorSave.
NSError *QEMUSaveError(NSString *reason, NSString *_Nullable suggestion, NSError *_Nullable underlying);

NS_ASSUME_NONNULL_END
