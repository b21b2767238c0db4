// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZGraphicsDevice.h>

NS_ASSUME_NONNULL_BEGIN

/// What a VZVirtioGraphicsDeviceConfiguration becomes in a machine; its displays are VZVirtioGraphicsScanouts.
VZ_EXPORT API_AVAILABLE(macos(14.0)) @interface VZVirtioGraphicsDevice : VZGraphicsDevice
@end

NS_ASSUME_NONNULL_END
