// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The ends of a machine's runs that its delegate has still to tell of. The state may be seen first, and the machine be
/// started again before the delegate is called: what that is told then is about the run before, and the delegate is not
/// told which run is meant. Runs are told of in their order. What is not told within half a minute is not told: later
/// the delegate means the present run.
///
/// Used on the machine's queue only.
@interface AppleVZRunEnds : NSObject

/// The present run has ended by itself, in that state.
- (void)addEndIn:(enum applevz_machine_state)state;
/// The delegate has told of the present run's end.
- (void)forgetPresentEnd;
/// A new run begins, with whose end those that are there have nothing to do.
- (void)beginRun;

/// The delegate tells of an end. YES, with the state, if it is that of a run before the present one.
- (BOOL)takeEarlierEnd:(enum applevz_machine_state *)state;

- (void)forgetAll;

@end

NS_ASSUME_NONNULL_END
