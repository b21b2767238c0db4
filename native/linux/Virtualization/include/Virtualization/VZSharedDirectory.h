// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// A directory of the host that a guest may use.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZSharedDirectory : NSObject

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The directory must be there when a machine is made and started. What is mounted below it then belongs to it. With
/// readOnly nothing that the guest does changes it: it is a read-only mount for the process that serves it.
- (instancetype)initWithURL:(NSURL *)url readOnly:(BOOL)readOnly NS_DESIGNATED_INITIALIZER;

/// The directory on this host.
@property (readonly, copy) NSURL *URL;

@property (readonly, getter=isReadOnly) BOOL readOnly;

@end

NS_ASSUME_NONNULL_END
