// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZPlatformConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

@class VZGenericMachineIdentifier;

/*! The platform of guests other than macOS. */
VZ_EXPORT API_AVAILABLE(macos(12.0))
@interface VZGenericPlatformConfiguration : VZPlatformConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/*! A new identifier by default. Two machines that run at the same time must not have the same one. */
@property (copy) VZGenericMachineIdentifier *machineIdentifier API_AVAILABLE(macos(13.0));

@end

NS_ASSUME_NONNULL_END
