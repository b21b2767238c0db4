// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// How a machine is started. There is nothing to choose but for guests of macOS.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZVirtualMachineStartOptions : NSObject

@end

NS_ASSUME_NONNULL_END
