// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// A token's place in a channel. It lies in the operation that it announces. So a channel needs no memory of its own,
/// and cannot grow beyond the operations that there are.
typedef struct applevz_announcement {
    struct applevz_announcement *_Nullable next;
    struct applevz_announcement *_Nullable previous;
    uint64_t token;
    bool queued;
} applevz_announcement;

/// Tokens in the order of their arrival, and a pipe that is readable while there are any. Any thread may use it.
@interface AppleVZChannel : NSObject

/// nil, with the error, if the process has no descriptors left.
- (nullable instancetype)initWithError:(NSError *_Nullable *_Nonnull)error;

@property (readonly) int descriptor;

/// The announcement stays where it is until it is taken or withdrawn, or the channel is closed.
- (void)enqueue:(applevz_announcement *)announcement;

/// Takes it out, if it is in. Afterwards the channel knows nothing of it.
- (void)withdraw:(applevz_announcement *)announcement;

- (BOOL)takeToken:(uint64_t *)token;

/// Gives the descriptors back. What is enqueued later is left out.
- (void)close;

@end

NS_ASSUME_NONNULL_END
