// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A network of the host that machines can be part of, as hosts of their own: here a bridge, to which physical cards or
/// other machines may be connected.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZBridgedNetworkInterface : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The bridges that there are now in this process's network namespace, by their names.
@property (class, readonly, copy) NSArray<VZBridgedNetworkInterface *> *networkInterfaces;

/// The interface's name on the host, as "br0".
@property (readonly, copy) NSString *identifier;

/// A name to be shown. Linux has none: nil.
@property (nullable, readonly, copy) NSString *localizedDisplayName;

@end

NS_ASSUME_NONNULL_END
