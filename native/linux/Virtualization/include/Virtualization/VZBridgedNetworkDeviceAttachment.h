// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZNetworkDeviceAttachment.h>

NS_ASSUME_NONNULL_BEGIN

@class VZBridgedNetworkInterface;

/// Connects a network card to a network of the host's, where the machine is a host of its own. On Linux the card
/// becomes a port of the bridge while the machine runs. That takes the privilege CAP_NET_ADMIN, or qemu-bridge-helper
/// with it and a word for the bridge in /etc/qemu/bridge.conf.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZBridgedNetworkDeviceAttachment : VZNetworkDeviceAttachment

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

- (instancetype)initWithInterface:(VZBridgedNetworkInterface *)interface NS_DESIGNATED_INITIALIZER;

@property (readonly, strong) VZBridgedNetworkInterface *interface;

@end

NS_ASSUME_NONNULL_END
