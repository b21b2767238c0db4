// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZNetworkDeviceAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/// Connects a network card to a datagram socket of this process: each datagram is an Ethernet frame.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZFileHandleNetworkDeviceAttachment : VZNetworkDeviceAttachment

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The handle has a connected datagram socket; one whose descriptor is closed raises NSInvalidArgumentException. The
/// attachment keeps the handle, and so keeps its descriptor open.
- (instancetype)initWithFileHandle:(NSFileHandle *)fileHandle NS_DESIGNATED_INITIALIZER;

@property (readonly, strong) NSFileHandle *fileHandle;

/// What a frame holds at most beside its header, in bytes: from 1500, the default, to 65535. A frame must fit into the
/// socket's send buffer.
@property NSInteger maximumTransmissionUnit API_AVAILABLE(macos(13.0));

@end

NS_ASSUME_NONNULL_END
