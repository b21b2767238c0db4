// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZNetworkDeviceAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/// A private network behind the host, which translates addresses for what the guest sends out.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZNATNetworkDeviceAttachment : VZNetworkDeviceAttachment

- (instancetype)init NS_DESIGNATED_INITIALIZER;

@end

NS_ASSUME_NONNULL_END
