// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The name of the format that a disk image has if its first bytes are those of one that is not raw: "qcow2", "VMDK",
/// "gzip-compressed"…; nil for a raw image. Contents of a disk that a guest may have put there itself, such as a LUKS
/// header or a file system, are raw.
#if defined(__cplusplus)
extern "C"
#endif
    NSString *_Nullable HostDiskImageForeignFormat(int fileDescriptor);

NS_ASSUME_NONNULL_END
