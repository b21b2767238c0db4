// SPDX-License-Identifier: Apache-2.0
#import "operation.h"

NS_ASSUME_NONNULL_BEGIN

/// The operations that wait for something of one owner: an event, a state, a connection. It does not keep an operation
/// alive: one that was given up disappears by itself. It has no lock: its owner calls it under its own.
@interface AppleVZWaiters : NSObject

/// The number is the owner's, to tell what each waits for.
- (void)add:(AppleVZOperation *)operation number:(uint32_t)number;

/// Calls the block with each operation that still waits, in their order, and takes out those for which it returns YES.
- (void)removeIf:(__attribute__((noescape)) BOOL (^)(AppleVZOperation *operation, uint32_t number))isOver;

/// Completes all, and takes them out.
- (void)completeWithError:(nullable NSError *)error;

@end

NS_ASSUME_NONNULL_END
