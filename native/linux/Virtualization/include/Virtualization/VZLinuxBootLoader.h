// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZBootLoader.h>

NS_ASSUME_NONNULL_BEGIN

/// Starts a Linux kernel without firmware or boot loader inside the guest.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZLinuxBootLoader : VZBootLoader

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// kernelURL is the kernel's file on this host. The command line is empty and there is no initial RAM disk.
- (instancetype)initWithKernelURL:(NSURL *)kernelURL NS_DESIGNATED_INITIALIZER;

/// The kernel's file on this host.
@property (copy) NSURL *kernelURL;

/// What the kernel gets as its command line. Empty by default.
@property (copy) NSString *commandLine;

/// The file that is loaded as the initial RAM disk; nil, the default, for none.
@property (copy, nullable) NSURL *initialRamdiskURL;

@end

NS_ASSUME_NONNULL_END
