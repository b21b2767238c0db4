// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A connection between a guest and this process. It does not end with the device that it came from, but the machine's
/// end ends it.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioSocketConnection : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The port that was connected to, and the one that was connected from.
@property (readonly) uint32_t destinationPort;
@property (readonly) uint32_t sourcePort;

/// The socket, which is the connection's: it is closed with it. -1 once it is closed.
@property (readonly) int fileDescriptor;

- (void)close;

@end

NS_ASSUME_NONNULL_END
