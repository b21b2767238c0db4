// SPDX-License-Identifier: Apache-2.0
#import "QEMUInstance.h"

NS_ASSUME_NONNULL_BEGIN

// Moving a machine's state out of a QEMU whose processors stand still, and into one that was started with -incoming. What
// QEMU calls a migration. The guest's memory is part of it if `withMemory`, which is said alike on both ways. The completion is
// called once, on the instance's queue, unless the process ends before: its endHandler has the last word then.

/// QEMU writes to the file from its position on.
void QEMUMigrationSend(QEMUInstance *instance, QEMUDescriptor *file, BOOL withMemory,
                       void (^completion)(NSError *_Nullable error));

/// QEMU reads from the file from its position on.
void QEMUMigrationReceive(QEMUInstance *instance, QEMUDescriptor *file, BOOL withMemory,
                          void (^completion)(NSError *_Nullable error));

NS_ASSUME_NONNULL_END
