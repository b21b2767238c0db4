// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// The host's end of a network card. Abstract: make a VZNATNetworkDeviceAttachment, a VZBridgedNetworkDeviceAttachment
/// or a VZFileHandleNetworkDeviceAttachment.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZNetworkDeviceAttachment : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

@end

NS_ASSUME_NONNULL_END
