// SPDX-License-Identifier: Apache-2.0
// The ports of this host that guests connect to. A port is the host's, and one socket of this process's hears all
// guests: whose connection it is tells the guest's number. What nobody here has asked for is refused.
#import "support/HostDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// One guest, as the listeners know it.
@protocol QEMUSocketListening <NSObject>
/// Its number; 0 while there is none. Read on any thread.
@property (readonly) uint32_t guest;
/// A connection that it made, not on its queue. The descriptor is the receiver's.
- (void)takeConnection:(int)descriptor fromPort:(uint32_t)source toPort:(uint32_t)destination;
@end

/// Takes that guest's connections to the port from here on. NO, with an error of NSPOSIXErrorDomain, where the port is
/// another program's. Not on the queue on which connections are taken.
BOOL QEMUListenForGuest(id<QEMUSocketListening> guest, uint32_t port, NSError **error);

/// The port is another program's to have once no guest of this process's listens to it. A guest that is gone has
/// stopped.
void QEMUStopListeningForGuest(id<QEMUSocketListening> guest, uint32_t port);

/// Looks for guests that are gone, some time after this returns.
void QEMUForgetGuestsThatAreGone(void);

NS_ASSUME_NONNULL_END
