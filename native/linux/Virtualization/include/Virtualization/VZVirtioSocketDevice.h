// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZSocketDevice.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtioSocketConnection;
@class VZVirtioSocketListener;

/// A machine's end of the sockets between its guest and this process. Used on the machine's queue.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioSocketDevice : VZSocketDevice

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// Has the listener take the guest's connections to that port, in place of the one that did. One listener can be that
/// of several ports. It stays when the machine stops. On Linux a port is one of the host's, shared by its machines;
/// where another program has it, that is said on standard error, and the guest finds nobody there.
- (void)setSocketListener:(VZVirtioSocketListener *)listener forPort:(uint32_t)port;

/// Nothing happens for a port without a listener. Connections that were made stay.
- (void)removeSocketListenerForPort:(uint32_t)port;

/// Connects to a port that something in the guest listens to. The block gets the connection, or an error.
- (void)connectToPort:(uint32_t)port
    completionHandler:
        (void (^)(VZVirtioSocketConnection *_Nullable connection, NSError *_Nullable error))completionHandler;

@end

NS_ASSUME_NONNULL_END
