// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "operation.h"

NS_ASSUME_NONNULL_BEGIN

/// The operations that wait for a machine to reach a state. It does not keep an operation alive: one that was given up
/// disappears by itself. Any thread may use it.
@interface AppleVZStateWaiters : NSObject

/// Completes the operation when one of `states` (bit 1 << state) is announced; at once if it was announced last.
- (void)add:(AppleVZOperation *)operation forStates:(uint32_t)states;

- (void)announceState:(enum applevz_machine_state)state;

/// Completes those who wait, and those who come later, with the error.
- (void)cancelWithError:(NSError *)error;

@end

NS_ASSUME_NONNULL_END
