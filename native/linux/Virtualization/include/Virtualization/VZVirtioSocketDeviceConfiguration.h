// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZSocketDeviceConfiguration.h>

NS_ASSUME_NONNULL_BEGIN

/// Sockets of the family AF_VSOCK between the guest and this process. A machine has one at most, and on Linux the host
/// needs the kernel's module vhost_vsock.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioSocketDeviceConfiguration : VZSocketDeviceConfiguration

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
