// SPDX-License-Identifier: Apache-2.0
#import "waiting/operation.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

@class AppleVZMachine;

/// The connections of a guest to one port that nobody has taken yet, in their order. Any thread may use it.
@interface AppleVZSocketListener : NSObject

- (instancetype)initWithMachine:(AppleVZMachine *)machine device:(NSUInteger)index port:(uint32_t)port;

@property (weak, nullable, readonly) AppleVZMachine *machine;

/// Of the machine's socket devices the one whose listener this is, and the port there.
@property (readonly) NSUInteger deviceIndex;
@property (readonly) uint32_t port;

/// What the device is given. It tells this object, which it does not keep.
@property (readonly) VZVirtioSocketListener *listener;

/// The descriptor of the oldest connection, which is the caller's from here on; -1 if there is none.
- (int)takeWithError:(NSError *_Nullable *_Nonnull)error;

/// Completes when there is a connection; at once if there is one now. One that was given up disappears by itself.
- (AppleVZOperation *)wait;

/// Completes those who wait, and those who come later, with the error; closes what nobody has taken.
- (void)closeWithError:(NSError *)error;

@end

NS_ASSUME_NONNULL_END
