// SPDX-License-Identifier: Apache-2.0
#import "support/HostDescriptor.h"
#import <applevz_extensions.h>
#import <dispatch/dispatch.h>

NS_ASSUME_NONNULL_BEGIN

/// The control group of one start of a machine: QEMU and its file servers are in it. It is gone when they are, also if
/// that is after this object.
@interface HostControlGroup : NSObject

/// Why this process can make none with limits of both kinds, where nobody names a folder for it; nil where it can.
+ (nullable NSError *)missingError;

/// nil, with an error of VZErrorNotSupported where the folder has no such groups, or of VZErrorInternal. Without a
/// folder it is in the one that was delegated to this process.
- (nullable instancetype)initWithLimits:(AppleVZResourceLimits)limits
                                 folder:(nullable NSString *)folder
                                  error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// A process that writes "0" to it is in the group (host_spawn_plan).
@property (readonly) HostDescriptor *joined;

/// Why the machine ended, if it is that one of its processes was killed for want of memory; nil otherwise.
@property (readonly, nullable) NSError *endError;

/// Takes the group away once its processes are gone, for which it looks a few times.
- (void)remove;

@end

/// Whether they take a control group.
BOOL HostNeedsControlGroup(AppleVZResourceLimits limits);

NS_ASSUME_NONNULL_END
