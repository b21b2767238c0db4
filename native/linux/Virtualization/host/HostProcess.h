// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import "HostSpawn.h"
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

@class HostForkServer;

/// Why a process could not be started.
typedef struct {
    int number;       // an errno
    const char *step; // what failed
} host_process_failure;

/// A process from its start to its end, which comes with this object, and with this process, whichever way that ends.
/// It has nothing to read, and the last of what it writes is kept. One that is watched is used on that queue alone.
@interface HostProcess : NSObject

/// Starts the program, or has a fork server that loaded it make a copy, where that can be. `environment` are variables
/// beside those that every program is given. `descriptors` are its 3 and those that follow; `prepare` is called last
/// before it is executed. It is in the control group with that file of processes from the start. Unless it may gain
/// privileges no program that it executes has more than it has (no_new_privs). nil where that fails.
- (nullable instancetype)initWithPath:(NSString *)path
                            arguments:(NSArray<NSString *> *)arguments
                          environment:(nullable NSArray<NSString *> *)environment
                          descriptors:(NSArray<HostDescriptor *> *)descriptors
                              prepare:(nullable host_child_function)prepare
                              context:(nullable void *)context
                    mayGainPrivileges:(BOOL)mayGainPrivileges
                          confinement:(nullable const struct host_confinement *)confinement
                         controlGroup:(nullable HostDescriptor *)controlGroup
                           forkServer:(nullable HostForkServer *)forkServer
                              failure:(host_process_failure *)failure NS_DESIGNATED_INITIALIZER;

/// … without further variables, and without a fork server.
- (nullable instancetype)initWithPath:(NSString *)path
                            arguments:(NSArray<NSString *> *)arguments
                          descriptors:(NSArray<HostDescriptor *> *)descriptors
                              prepare:(nullable host_child_function)prepare
                              context:(nullable void *)context
                    mayGainPrivileges:(BOOL)mayGainPrivileges
                          confinement:(nullable const struct host_confinement *)confinement
                         controlGroup:(nullable HostDescriptor *)controlGroup
                              failure:(host_process_failure *)failure;
- (instancetype)init NS_UNAVAILABLE;

/// Its pidfd.
@property (readonly) int descriptor;

/// Calls the handler when the process has ended, until it is reaped or ended from here.
- (void)watchOnQueue:(dispatch_queue_t)queue endHandler:(dispatch_block_t)handler;

/// YES once the process has ended, for which this waits at most so long.
- (BOOL)hasEndedWithin:(int)milliseconds;

/// Of a process that has ended: how.
- (host_exit)reap;

/// The last of what it wrote to its standard output and error, up to now.
@property (readonly) NSString *lastWords;

/// SIGKILL.
- (void)kill;

/// Kills the process unless it was reaped, and returns when it is gone, or after a second; on the poller's thread,
/// which must not wait, at once.
- (void)endNow;

@end

NS_ASSUME_NONNULL_END
