// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// Connects to a TCP port of a guest, as soon as the guest answers. Its address is the one that a file of DHCP leases
/// has for its network card. It is used on one queue.
@interface AppleVZLeasedConnection : NSObject

- (instancetype)initWithLeases:(NSString *)path
                    macAddress:(NSString *)macAddress
                          port:(uint16_t)port NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// Calls the block so many milliseconds later, on the queue; or never, if nobody needs the connection any more. An
/// exception ends the block, and `failed` is given its error.
@property (copy) void (^later)(unsigned milliseconds, void (^block)(void), void (^failed)(NSError *error));

/// Whether somebody still waits, and the guest may still come. Asked before each step.
@property (copy) BOOL (^isWanted)(void);

/// Called once: with a descriptor of a socket, which is the caller's; or with -1, and an error unless nobody waited any
/// more.
@property (copy) void (^completion)(int descriptor, NSError *_Nullable error);

/// For how long a guest that does not answer is asked again.
@property NSTimeInterval patience;

/// Once the properties are set.
- (void)begin;

@end

NS_ASSUME_NONNULL_END
