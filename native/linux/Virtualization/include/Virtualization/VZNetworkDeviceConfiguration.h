// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZMACAddress, VZNetworkDeviceAttachment;

/// A network card of the machine. Abstract: make a VZVirtioNetworkDeviceConfiguration.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZNetworkDeviceConfiguration : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The card's address. By default random, locally administered and unicast.
@property (copy) VZMACAddress *MACAddress;

/// The network that the card is connected to. A machine needs one; the default is nil.
@property (nullable, strong) VZNetworkDeviceAttachment *attachment;

@end

NS_ASSUME_NONNULL_END
