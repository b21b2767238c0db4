// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZNetworkDeviceAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/*! A network card of a machine, from VZVirtualMachine.networkDevices; never made by a program. */
VZ_EXPORT API_AVAILABLE(macos(12.0))
@interface VZNetworkDevice : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/*! What the card is connected to; nil for a cable that is pulled out, which the guest sees. It can be set at any time, to nil, to
    what the configuration has there, and where that is a VZNATNetworkDeviceAttachment to any other of those. Anything else
    cannot take its place while the machine is there: the card stays without a cable, and the delegate gets
    virtualMachine:networkDevice:attachmentWasDisconnectedWithError:. */
@property (nullable, strong) VZNetworkDeviceAttachment *attachment;

@end

NS_ASSUME_NONNULL_END
