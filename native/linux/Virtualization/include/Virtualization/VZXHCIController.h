// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZUSBController.h>

NS_ASSUME_NONNULL_BEGIN

/// What a VZXHCIControllerConfiguration is in a machine.
VZ_EXPORT API_AVAILABLE(macos(15.0)) @interface VZXHCIController : VZUSBController

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
