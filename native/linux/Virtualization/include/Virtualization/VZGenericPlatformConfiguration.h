// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZPlatformConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

@class VZGenericMachineIdentifier;

/// The platform of guests other than macOS.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZGenericPlatformConfiguration : VZPlatformConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/// A new identifier by default. Two machines that run at the same time must not have the same one.
@property (copy) VZGenericMachineIdentifier *machineIdentifier API_AVAILABLE(macos(13.0));

/// Whether the guest can run machines of its own on the processor's virtualization; it is emulated where the processor
/// is.
@property (class, readonly, getter=isNestedVirtualizationSupported)
    BOOL nestedVirtualizationSupported API_AVAILABLE(macos(15.0));

/// Whether the guest finds that in its processor. NO by default.
@property (getter=isNestedVirtualizationEnabled) BOOL nestedVirtualizationEnabled API_AVAILABLE(macos(15.0));

@end

NS_ASSUME_NONNULL_END
