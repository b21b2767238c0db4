// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDirectoryShare.h>

NS_ASSUME_NONNULL_BEGIN

@class VZSharedDirectory;

/// One directory of the host: what the guest mounts is that directory.
VZ_EXPORT API_AVAILABLE(macos(12.0)) @interface VZSingleDirectoryShare : VZDirectoryShare

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

- (instancetype)initWithDirectory:(VZSharedDirectory *)directory NS_DESIGNATED_INITIALIZER;

@property (readonly, strong) VZSharedDirectory *directory;

@end

NS_ASSUME_NONNULL_END
