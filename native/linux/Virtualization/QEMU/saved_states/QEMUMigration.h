// SPDX-License-Identifier: Apache-2.0
#import "QEMU/process/QEMUInstance.h"

NS_ASSUME_NONNULL_BEGIN

// Moving a machine's state out of a QEMU whose processors stand still, and into one that was started to wait for it.
// What QEMU calls a migration. The completion is called once, on the instance's queue, unless the process ends before:
// its endHandler has the last word then.

/// QEMU writes to the file from its position on; the guest's memory, too, if `withMemory`.
void QEMUMigrationSend(QEMUInstance *instance, HostDescriptor *file, BOOL withMemory,
                       void (^completion)(NSError *_Nullable error));

/// QEMU reads what its command line has for it.
void QEMUMigrationReceive(QEMUInstance *instance, void (^completion)(NSError *_Nullable error));

/// What migrate-set-capabilities takes: QEMU tells of a migration's end, and leaves memory that is a file out of the
/// stream or not. One that receives refuses a stream of the other kind.
NSDictionary *QEMUMigrationCapabilities(BOOL ignoresSharedMemory);

NS_ASSUME_NONNULL_END
