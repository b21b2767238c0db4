// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

/// The input that goes to one machine, one caller after the other: the events of two callers are not mixed. Used on the
/// machine's queue.
@interface AppleVZInputTurns : NSObject

- (instancetype)initWithQueue:(dispatch_queue_t)queue NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// Sends the events, an array of applevz_input_event, to that machine, `interval` seconds after each other; the first
/// that is refused ends it. Completes once. It does not keep the machine.
- (void)sendEvents:(NSData *)events
          interval:(double)interval
                to:(VZVirtualMachine *)machine
        completion:(void (^)(NSError *_Nullable error))completion;

@end

NS_ASSUME_NONNULL_END
