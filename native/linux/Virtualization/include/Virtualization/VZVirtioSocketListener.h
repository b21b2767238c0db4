// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

@class VZVirtioSocketConnection;
@class VZVirtioSocketDevice;
@protocol VZVirtioSocketListenerDelegate;

/// What takes a guest's connections to a port: see -[VZVirtioSocketDevice setSocketListener:forPort:].
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZVirtioSocketListener : NSObject

@property (nullable, weak) id<VZVirtioSocketListenerDelegate> delegate;

@end

/// Is asked on the queue of the machine whose guest connects.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @protocol VZVirtioSocketListenerDelegate<NSObject>

@optional

/// Whether the connection is to be. Keep it then: with its last reference it is closed. Without this method, or a
/// delegate, none is.
- (BOOL)listener:(VZVirtioSocketListener *)listener
    shouldAcceptNewConnection:(VZVirtioSocketConnection *)connection
             fromSocketDevice:(VZVirtioSocketDevice *)socketDevice;

@end

NS_ASSUME_NONNULL_END
