// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZMemoryBalloonDevice.h>

NS_ASSUME_NONNULL_BEGIN

/// Takes memory from the guest and gives it back. Use it on its machine's queue.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioTraditionalMemoryBalloonDevice : VZMemoryBalloonDevice

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The memory in bytes that the guest is asked to make do with; at first the configuration's memorySize. A value is
/// rounded down to a multiple of 1 MiB and brought into the range from
/// VZVirtualMachineConfiguration.minimumAllowedMemorySize to memorySize. Whether and when the guest follows is up to
/// the guest.
@property uint64_t targetVirtualMachineMemorySize;

@end

NS_ASSUME_NONNULL_END
