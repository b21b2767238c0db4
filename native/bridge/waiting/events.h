// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "operation.h"

NS_ASSUME_NONNULL_BEGIN

/// One event of a machine.
@interface AppleVZEvent : NSObject

/// Something that happens now.
+ (instancetype)eventOfKind:(enum applevz_event_kind)kind
                      cause:(enum applevz_event_cause)cause
                stateBefore:(enum applevz_machine_state)before
                      state:(enum applevz_machine_state)state
                      error:(nullable NSError *)error;

@property (readonly) enum applevz_event_kind kind;
@property (readonly) enum applevz_event_cause cause;
@property (readonly) enum applevz_machine_state stateBefore;
@property (readonly) enum applevz_machine_state state;
@property (readonly) double time;
@property (readonly) double monotonicTime;

/// Set, if at all, before the event is added anywhere.
@property (nullable) NSError *error;
/// The index of the device whose event it is; -1 until it is set.
@property NSInteger device;
/// The place of the console device's port that it is about; -1 until it is set.
@property NSInteger port;
/// The identifier of the USB device that it is about.
@property (nullable) NSUUID *usbDevice;

@end

/// The events of a machine that nobody has taken yet, in their order; of more than APPLEVZ_EVENT_CAPACITY the youngest.
/// Any thread may use it.
@interface AppleVZEvents : NSObject

/// Numbers the event.
- (void)add:(AppleVZEvent *)event;

/// The oldest event, its number, and the number of events just before it that were dropped. nil if there is none.
- (nullable AppleVZEvent *)takeWithNumber:(uint64_t *)number dropped:(uint64_t *)dropped;

/// Completes when there is an event; at once if there is one now. One that was given up disappears by itself.
- (AppleVZOperation *)wait;

/// Completes those who wait, and those who come later and find nothing, with the error.
- (void)cancelWithError:(NSError *)error;

@end

NS_ASSUME_NONNULL_END
