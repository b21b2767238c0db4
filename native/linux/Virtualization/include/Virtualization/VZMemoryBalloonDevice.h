// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A memory balloon of a running machine, from VZVirtualMachine.memoryBalloonDevices; never made by a program.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZMemoryBalloonDevice : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
