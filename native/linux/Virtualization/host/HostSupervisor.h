// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"

NS_ASSUME_NONNULL_BEGIN

/// Decides where a program that may have been taken over connects to, and what it sends to: nothing of this host,
/// unless it was allowed. It opens a file for it, too. It makes the program's calls itself. Until it is told otherwise
/// nothing is reached. It ends with this object; the program's calls fail then.
@interface HostSupervisor : NSObject

/// Takes the listener that the program behind the pidfd has sent to the socket. It may have as many sockets as bring
/// its descriptors to that number. Its calls wait until this begins. nil, with an error of NSPOSIXErrorDomain, where
/// there is none.
- (nullable instancetype)initWithSocket:(int)socket
                                process:(int)pidfd
                        descriptorLimit:(NSUInteger)limit
                                  error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// Once it has been told what is allowed from the start.
- (void)begin;

/// What one of its networks may reach: other hosts, and this one. The program has one memory, so that what one of them
/// may, all may.
- (void)setReachesInternet:(BOOL)internet host:(BOOL)host ofNetwork:(NSUInteger)index;

/// A server of disks, on whichever host: connected to by another thread than the program's first, which works for the
/// guest's networks, at least as long as nobody has taken the program over.
- (void)allowServerAtPort:(NSUInteger)port;
/// The same at a path. What the program calls /proc/self is another one here: with a folder it is the name in that.
- (void)allowServerAtPath:(NSString *)path inFolder:(nullable HostDescriptor *)folder name:(nullable NSString *)name;

/// The next time that it opens that path, for reading and writing at once, it has that descriptor. What else it opens
/// it opens by itself.
- (void)giveDescriptor:(nullable HostDescriptor *)descriptor forPath:(NSString *)path;

/// Every socket of this host's own family.
- (void)allowLocalSockets;

/// At once; on any thread.
- (void)end;

@end

NS_ASSUME_NONNULL_END
