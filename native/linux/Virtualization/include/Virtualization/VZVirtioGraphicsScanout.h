// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZGraphicsDisplay.h>

NS_ASSUME_NONNULL_BEGIN

/// What a VZVirtioGraphicsScanoutConfiguration becomes in a machine.
VZ_EXPORT API_AVAILABLE(macos(14.0)) @interface VZVirtioGraphicsScanout : VZGraphicsDisplay
@end

NS_ASSUME_NONNULL_END
