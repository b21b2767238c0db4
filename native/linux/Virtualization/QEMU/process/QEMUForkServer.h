// SPDX-License-Identifier: Apache-2.0
#import "host/HostForkServer.h"

NS_ASSUME_NONNULL_BEGIN

/// The fork server of that QEMU, if somebody has one.
HostForkServer *_Nullable QEMUForkServer(NSString *path);

/// That of the QEMU that runs machines now, which is begun if nobody has it, with the file that makes one of a program.
/// It ends with the last who has it. nil, with an error, where it cannot be begun.
HostForkServer *_Nullable QEMUHoldForkServer(NSString *library, NSError **error);

NS_ASSUME_NONNULL_END
