// SPDX-License-Identifier: Apache-2.0
#import "QEMU/command_line/QEMUCommandLine.h"
#import "QEMUEnd.h"
#import "host/HostSupervisor.h"
#import "QEMU/program/QMPConnection.h"
#import "host/HostUsage.h"
#import <applevz_extensions.h>
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

/// One QEMU process, from its start to its end. Everything happens on its queue. The process ends with this object, and
/// with this process, whichever way that ends.
@interface QEMUInstance : NSObject

- (instancetype)initWithCommandLine:(QEMUCommandLine *)commandLine
                              queue:(dispatch_queue_t)queue NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

@property (nullable, copy) void (^eventHandler)(NSString *name, NSDictionary *data);

/// What QEMU says of the migration that QEMUMigration has under way.
@property (nullable, copy) void (^migrationHandler)(NSString *status);

/// Called once, when a process that was launched successfully has ended and been reaped, and all that it said was
/// heard.
@property (nullable, copy) void (^endHandler)(QEMUEnd *end);

/// Starts the process, up to a machine whose processors stand still. The completion is called once, with an error where
/// there is no machine; the process is gone then.
- (void)launchWithCompletion:(void (^)(NSError *_Nullable error))completion;

- (void)execute:(NSString *)command arguments:(nullable NSDictionary *)arguments completion:(QMPCompletion)completion;

/// The same, handing QEMU a descriptor with it.
- (void)execute:(NSString *)command
      arguments:(nullable NSDictionary *)arguments
     descriptor:(nullable HostDescriptor *)descriptor
     completion:(QMPCompletion)completion;

@property (readonly) dispatch_queue_t queue;

/// What it was started with.
@property (readonly) QEMUCommandLine *commandLine;

/// How long an answer may take before QEMU is given up.
@property (readonly) NSTimeInterval answerSeconds;

/// What keeps it from the rest of the host.
@property (readonly) AppleVZConfinement confinement;

/// What decides where it connects to; nil where it does as it likes, or makes no sockets.
@property (readonly, nullable) HostSupervisor *supervisor;

/// Its version, "7.2", once it was launched.
@property (readonly, nullable) NSString *version;

/// What the host counts of the process. NO where that cannot be told.
- (BOOL)getUsage:(host_process_usage *)usage;

/// NO once it is certain that the process has ended or is about to; endHandler says more.
@property (readonly) BOOL isAnswering;

/// SIGKILL. endHandler follows.
- (void)kill;

/// As kill, for a process that is of no more use; the end's errors give the reason.
- (void)giveUpWithError:(NSError *)error;

/// Ends the process, and calls the completion in place of any other handler when it is gone.
- (void)endWithCompletion:(dispatch_block_t)completion;

/// Ends the process (HostProcess.h). No handler is called any more.
- (void)endNow;

@end

NS_ASSUME_NONNULL_END
