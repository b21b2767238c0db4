// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/Virtualization.h>

NS_ASSUME_NONNULL_BEGIN

@interface VZVirtualMachine ()

/// The memory that the guest is asked to make do with. Takes effect when the machine runs, and anew at each start.
- (void)setBalloonTarget:(uint64_t)bytes;

@end

// The bridge asks for these by name, and works without them.
@interface VZVirtualMachine (Host)
/// Why no machine can be run here; nil where one can.
+ (nullable NSError *)applevzUnsupportedError;
/// Why machines are emulated here; nil where the processor runs them.
+ (nullable NSError *)applevzHardwareAccelerationError;
@end

@interface VZMemoryBalloonDevice ()
- (instancetype)initForSubclass;
@end

@interface VZVirtioTraditionalMemoryBalloonDevice ()
- (instancetype)initWithMachine:(VZVirtualMachine *)machine memorySize:(uint64_t)memorySize;
@end

NS_ASSUME_NONNULL_END
