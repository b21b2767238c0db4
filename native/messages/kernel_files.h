// SPDX-License-Identifier: Apache-2.0
#ifndef KERNEL_FILES_H
#define KERNEL_FILES_H

#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// What a file that is to be booted as a Linux kernel is, by its beginning.
typedef NS_ENUM(NSInteger, applevz_kernel_kind) {
    APPLEVZ_KERNEL_UNKNOWN,
    /// x86's bzImage (vmlinuz).
    APPLEVZ_KERNEL_BZIMAGE,
    /// vmlinux, of whatever processor.
    APPLEVZ_KERNEL_ELF,
    /// arm64's Image.
    APPLEVZ_KERNEL_ARM64_IMAGE,
    /// EFI programs: a kernel that decompresses itself (vmlinuz.efi), and others, such as unified kernels.
    APPLEVZ_KERNEL_EFI_COMPRESSED,
    APPLEVZ_KERNEL_EFI_PROGRAM,
    /// A compressed file that is nothing more: no kernel until it is decompressed.
    APPLEVZ_KERNEL_GZIP,
    APPLEVZ_KERNEL_XZ,
    APPLEVZ_KERNEL_ZSTD,
    APPLEVZ_KERNEL_LZ4,
    APPLEVZ_KERNEL_BZIP2,
};

typedef struct {
    applevz_kernel_kind kind;
    /// Of an ELF file: e_machine.
    uint16_t machine;
    /// Of a kernel that decompresses itself: what it was compressed with, as its header says, and where that is in the
    /// file.
    char compression[16];
    uint32_t payload_offset, payload_length;
} applevz_kernel_file;

enum { APPLEVZ_KERNEL_HEAD_LENGTH = 1024, APPLEVZ_MACHINE_X86_64 = 62, APPLEVZ_MACHINE_AARCH64 = 183 };

/// By that many first bytes. What the header says is whatever its maker liked.
applevz_kernel_file applevz_kernel_file_with_head(const unsigned char *head, size_t length);

/// The same of a regular file that is open, of which a kilobyte is read; its position is neither used nor changed.
applevz_kernel_file applevz_kernel_file_at(int file);

/// "a gzip-compressed file", to complete a sentence with.
NSString *applevz_kernel_description(applevz_kernel_file file);

/// How to get out of it what is compressed in it, without a full stop; nil where nothing is.
NSString *_Nullable applevz_kernel_expansion(applevz_kernel_file file);

NS_ASSUME_NONNULL_END

#endif
