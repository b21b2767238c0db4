// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// How this process reaches its guests' sockets: the only place that knows an address family. A guest has a number,
/// which no other of this host has while it is there. Any thread may use it.
@interface QEMUSocketTransport : NSObject

/// The one of the host's kernel, vhost_vsock, unless a program that tests what stands on it has put another in its
/// place.
@property (class, strong) QEMUSocketTransport *current;

/// Why a guest cannot have such sockets here; nil where it can.
@property (readonly, nullable) NSError *missingError;

/// What QEMU is handed for a new guest's device, and the guest's number. nil with an error of NSPOSIXErrorDomain.
- (nullable HostDescriptor *)deviceForNewGuest:(uint32_t *)guest error:(NSError **)error;

/// A socket that is connected to a port of the guest, or is about to be: it can be written to then. nil with an error
/// of NSPOSIXErrorDomain.
- (nullable HostDescriptor *)socketConnectingToGuest:(uint32_t)guest port:(uint32_t)port error:(NSError **)error;

/// A socket that hears what any guest connects to that port of the host. nil with an error of NSPOSIXErrorDomain.
- (nullable HostDescriptor *)socketListeningOnPort:(uint32_t)port error:(NSError **)error;

/// The next connection, with the guest that made it and its port there. -1, with errno, where there is none.
- (int)acceptFrom:(HostDescriptor *)socket guest:(uint32_t *)guest port:(uint32_t *)port;

/// The port of this side.
- (uint32_t)portOfSocket:(int)descriptor;

@end

NS_ASSUME_NONNULL_END
