// SPDX-License-Identifier: Apache-2.0
#import "HostSpawn.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// A process that has loaded a program and its libraries and waits before the program's begin, to be copied
/// (native/fork_server). A copy is a child of this process like any other, and takes half the time of a start. All
/// copies have the program and its libraries at the same addresses.
@interface HostForkServer : NSObject

/// Begins it. `library` is the path of what makes a server of the program. nil, with an error, where that fails.
- (nullable instancetype)initWithProgram:(NSString *)path library:(NSString *)library error:(NSError **)error;
- (instancetype)init NS_UNAVAILABLE;

/// Whether the program at this path is the one that was loaded.
- (BOOL)isOfProgram:(NSString *)path;

/// On the poller's thread: has a copy made and confined as the plan says, whose pidfd this gives. -1 where that fails,
/// and nothing is left of it: the server is not ready, or gone, or the plan asks for what a copy cannot have. Then
/// host_spawn does it, and tells why it cannot be.
- (int)spawn:(const host_spawn_plan *)plan;

@end

NS_ASSUME_NONNULL_END
