// SPDX-License-Identifier: Apache-2.0
#import "QEMU/process/QEMUInstance.h"

NS_ASSUME_NONNULL_BEGIN

/// Connects a socket of this process to a TCP port of a guest on QEMU's user network, which has a way in for what it is
/// told to forward only. A forwarding stands as long as it takes to go through it, a few milliseconds, and where
/// anybody else on this host came through it meanwhile that is an error. descriptor is the caller's; -1 with an error,
/// of NSPOSIXErrorDomain below where the guest did not answer, or where nobody wants it any more, which is asked on the
/// instance's queue. The completion is called once, on that queue, and not at all once the instance is gone.
void QEMUConnectToPort(QEMUInstance *instance, NSString *network, uint16_t port, BOOL (^isWanted)(void),
                       void (^completion)(int descriptor, NSError *_Nullable error));

NS_ASSUME_NONNULL_END
