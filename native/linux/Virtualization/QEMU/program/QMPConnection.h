// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import <Virtualization/VZDefines.h>
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

/// QEMU's descriptor for QMP. Below it are its standard input, output and error.
enum { QEMUControlDescriptor = 3 };

/// The answer to a command: what QEMU returned, or why there is no answer. An NSError of VZErrorDomain whose failure
/// reason holds QEMU's own words. The result has whatever type QEMU gave it: it is looked into with json_values.h
/// alone.
typedef void (^QMPCompletion)(id _Nullable result, NSError *_Nullable error);

/// A QMP connection (QEMU's docs/interop/qmp-spec): JSON objects, one a line, over a stream socket. Everything happens
/// on its queue. Whatever ends it, each command that was sent is answered exactly once. What QEMU says may be anything,
/// since a guest may have taken it over: an exception that a handler or a completion raises ends the connection with an
/// error.
@interface QMPConnection : NSObject

/// The name is what its lines in the log are of.
- (instancetype)initWithSocket:(HostDescriptor *)socket
                         queue:(dispatch_queue_t)queue
                          name:(NSString *)name NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// What QEMU says of its version as it greets.
@property (nullable, copy) void (^greetingHandler)(NSDictionary *greeting);
@property (nullable, copy) void (^eventHandler)(NSString *name, NSDictionary *data);
/// Called once, when nothing more can come: the other end closed (nil) or does not speak QMP. Not after close.
@property (nullable, copy) void (^endHandler)(NSError *_Nullable error);

- (void)open;

/// Sends the command, and with it the descriptor for QEMU's `getfd`. One that is not answered within `seconds` ends the
/// connection with an error that says so.
- (void)execute:(NSString *)command
      arguments:(nullable NSDictionary *)arguments
     descriptor:(nullable HostDescriptor *)descriptor
        seconds:(NSTimeInterval)seconds
     completion:(QMPCompletion)completion;

/// Takes in what has arrived, up to now, without waiting.
- (void)drain;

/// Ends it; commands without an answer get the error. No handler is called any more.
- (void)closeWithError:(NSError *)error;

@end

NS_ASSUME_NONNULL_END
