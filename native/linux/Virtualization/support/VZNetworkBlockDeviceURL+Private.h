// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// What the URL of a network block device says (doc/uri.md of the NetworkBlockDevice project), each part of it decoded
/// and checked.
@interface VZNetworkBlockDeviceURL : NSObject

/// nil for a URL that names no server and disk; reason then completes a sentence that begins with the property's name.
- (nullable instancetype)initWithURL:(nullable NSURL *)url reason:(NSString *_Nullable __autoreleasing *_Nonnull)reason;

/// A name, or an address without brackets; nil where there is a socket's path.
@property (readonly, nullable) NSString *host;
@property (readonly) NSUInteger port;

/// Absolute.
@property (readonly, nullable) NSString *socketPath;

/// Empty for the server's default.
@property (readonly) NSString *exportName;

/// The same for every way to write it.
@property (readonly) NSString *canonicalText;

@end

NS_ASSUME_NONNULL_END
