// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "channel.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// A call that is under way. It completes once, by the first of those who complete it. Any number of threads may wait
/// for it. A caller that gives up releases its reference. A completion that still comes finds an object, never a frame
/// that has returned.
@interface AppleVZOperation : NSObject

/// The first call decides; later ones change nothing.
- (void)completeWithError:(nullable NSError *)error;

/// Completes with a number: a wait for a state with the one that was reached.
- (void)completeWithValue:(int64_t)value;

/// Completes with a file descriptor, which is the operation's from here on: closed with it unless somebody takes it.
- (void)completeWithDescriptor:(int)descriptor;

/// What it completed with, 0 without anything. A descriptor is the caller's from here on, and given once: then it is
/// -1.
- (int64_t)takeValue;

- (enum applevz_wait_result)waitForSeconds:(double)seconds;

/// Has the channel tell of the completion. NO if one was asked to before.
- (BOOL)announceTo:(AppleVZChannel *)channel token:(uint64_t)token;

/// Nobody listens any more: no channel tells of the completion from here on.
- (void)withdrawAnnouncement;

/// Whether nobody will ask for what it completes with any more.
@property (readonly, getter=isAbandoned) BOOL abandoned;

/// nil before completion and after success.
@property (nullable, readonly) NSError *error;

@property (readonly, getter=isCompleted) BOOL completed;

@end

NS_ASSUME_NONNULL_END
