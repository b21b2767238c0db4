// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZBootLoader.h>

NS_ASSUME_NONNULL_BEGIN

@class VZEFIVariableStore;

/// Starts firmware (EFI), which finds a boot loader or a kernel on the machine's disks. The platform must be a
/// VZGenericPlatformConfiguration.
VZ_EXPORT API_AVAILABLE(macos(13.0)) @interface VZEFIBootLoader : VZBootLoader

- (instancetype)init NS_DESIGNATED_INITIALIZER;

/// Where the firmware's variables are kept while the machine is stopped. nil by default; a machine needs one.
@property (nullable, strong) VZEFIVariableStore *variableStore;

@end

NS_ASSUME_NONNULL_END
