// SPDX-License-Identifier: Apache-2.0
// Which saved states this process knows to be sound, because it wrote them or looked at them: their memory, which is
// most of them, is not looked at again before a machine runs from it.
#import "support/HostDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// The file as it is now: another one, or the same one written or renamed since, has another identity. nil where the
/// system does not tell.
NSString *_Nullable QEMUIdentityOfFile(HostDescriptor *file);

BOOL QEMUFileIsSound(NSString *_Nullable identity);

void QEMURememberSoundFile(NSString *_Nullable identity);

/// The same for a file that was written just now, and named. Not every system would tell a change that comes right
/// after: on one that does not, the file is not remembered.
void QEMURememberWrittenFile(HostDescriptor *file);

NS_ASSUME_NONNULL_END
