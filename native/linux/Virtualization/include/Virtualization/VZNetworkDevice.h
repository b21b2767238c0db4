// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZNetworkDeviceAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/// A network card of a machine, from VZVirtualMachine.networkDevices; never made by a program.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZNetworkDevice : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// What the card is connected to; nil for a cable that is pulled out, which the guest sees. It can be set at any time,
/// to nil or to any attachment, each of which is for one card at a time. Where it cannot be connected it becomes nil,
/// and the delegate gets virtualMachine:networkDevice:attachmentWasDisconnectedWithError:.
@property (nullable, strong) VZNetworkDeviceAttachment *attachment;

@end

NS_ASSUME_NONNULL_END
