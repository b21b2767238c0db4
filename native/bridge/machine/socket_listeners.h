// SPDX-License-Identifier: Apache-2.0
#import "socket_listener.h"

NS_ASSUME_NONNULL_BEGIN

/// The listeners at a machine's ports. They stay when the machine gets another VZVirtualMachine. Used on its queue.
@interface AppleVZSocketListeners : NSObject

/// nil, or why the port cannot be listened to.
- (nullable NSError *)add:(AppleVZSocketListener *)listener to:(VZVirtualMachine *)machine;

/// Nothing happens for one that is not there.
- (void)remove:(AppleVZSocketListener *)listener from:(VZVirtualMachine *)machine;

/// A new VZVirtualMachine has them all.
- (void)addAllTo:(VZVirtualMachine *)machine;

/// The machine was released: whoever waits is told the error.
- (void)closeWithError:(NSError *)error;

@end

NS_ASSUME_NONNULL_END
