// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

/// The framework's calls and callbacks of one machine, as they came: they show how a framework behaves. It keeps the
/// youngest APPLEVZ_NOTICE_CAPACITY. Any thread may use it, also while the queue hangs.
@interface AppleVZNotices : NSObject

/// The machine's queue, whose turns are counted.
- (instancetype)initWithQueue:(dispatch_queue_t)queue NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// Adds a notice that comes now, and gives it a number, its time and its turn.
- (void)add:(applevz_notice)notice error:(nullable NSError *)error;

/// The oldest one, with its error. NO if there is none.
- (BOOL)take:(applevz_notice *)notice error:(NSError *_Nullable __strong *_Nonnull)error;

@end

NS_ASSUME_NONNULL_END
