// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// What is known of the panics of a machine's guests. A panic is told by a device, by any number of consoles, or by
/// both, and a console tells it when somebody reads there, which may be long after. Used on the machine's queue, but
/// for `count`.
@interface AppleVZPanics : NSObject

/// Whether the framework tells of resets.
- (instancetype)initWithResetsTold:(BOOL)told NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// As applevz_machine_panics. Any thread may read it.
@property (readonly) uint64_t count;

/// A guest starts: the first of a run, or one that was reset.
- (void)beginGuest;

/// Whether it is a panic that was not told before. It counts then.
- (BOOL)isNewsFromDevice;
- (BOOL)isNewsFromConsole:(BOOL)anew;

/// The kernel printed that it does nothing more.
- (void)staysPanicked;

@end

NS_ASSUME_NONNULL_END
