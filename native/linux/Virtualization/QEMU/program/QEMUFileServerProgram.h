// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// Where virtiofsd is installed, and which of the two it is: the one that was part of QEMU up to version 7.2, or the
/// one in Rust that took its place.
@interface QEMUFileServerProgram : NSObject

/// What the environment's APPLEVZ_VIRTIOFSD names, otherwise what QEMU's descriptions of vhost-user programs name,
/// otherwise the first of the places where distributions have it. Looked up anew each time. nil, with a
/// VZErrorNotSupported that says what to install, where there is none.
+ (nullable instancetype)programWithError:(NSError **)error;

/// Absolute.
@property (readonly) NSString *path;

/// What it is started with to serve HOST_SHARE_ROOT to the first who connects to the socket with that descriptor. Asks
/// the program for its version.
- (NSArray<NSString *> *)argumentsForSocket:(int)descriptor;

@end

/// Why no directories can be shared on this host; nil where they can. Makes a mount namespace to see.
NSError *_Nullable QEMUDirectorySharingError(void);

NS_ASSUME_NONNULL_END
