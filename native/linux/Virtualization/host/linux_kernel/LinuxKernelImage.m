// SPDX-License-Identifier: Apache-2.0
#import "LinuxKernelImage.h"
#include "LinuxELFKernel.h"
#import <kernel_files.h>
#include <endian.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Of the kernel's Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
enum {
    bootSetupSectorsOffset = 0x1f1,
    bootSystemSizeOffset = 0x1f4,
    bootProtocolOffset = 0x206,
    bootPreferredAddressOffset = 0x258,
    bootInitialSizeOffset = 0x260,
};

// Of Documentation/arch/arm64/booting.rst.
enum { arm64ImageSizeOffset = 16 };

static uint32_t little32(const unsigned char *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static uint64_t little64(const unsigned char *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

static LinuxKernelImage recognizeELF(int fileDescriptor, uint64_t fileSize) {
    linux_elf_kernel kernel = linux_elf_kernel_of_file(fileDescriptor, fileSize);
    // There is no memory beyond its last address to load it into, whatever is below its first.
    LinuxKernelImage image = {LinuxKernelImageKindUnknown, kernel.end, kernel.loaded_size};
    switch (kernel.kind) {
    case LINUX_ELF_KERNEL_NONE:
        break;
    case LINUX_ELF_KERNEL_OF_OTHER_PROCESSOR:
        image.kind = LinuxKernelImageKindELFOfOtherProcessor;
        break;
    case LINUX_ELF_KERNEL_DAMAGED:
        image.kind = LinuxKernelImageKindDamagedELF;
        break;
    case LINUX_ELF_KERNEL_WITHOUT_PVH_NOTE:
        image.kind = LinuxKernelImageKindELFWithoutPVHNote;
        break;
    case LINUX_ELF_KERNEL_WITH_PVH_NOTE:
        image.kind = LinuxKernelImageKindELFWithPVHNote;
        break;
    }
    return image;
}

static LinuxKernelImage recognizeBzImage(const unsigned char *head, uint64_t fileSize) {
    enum { sectorSize = 512, defaultSetupSectors = 4, paragraphSize = 16 };
    enum { protocolWithSystemSize = 0x0204, protocolWithInitialSize = 0x020a };
    LinuxKernelImage image = {LinuxKernelImageKindBzImage, fileSize, fileSize};
    unsigned setupSectors = head[bootSetupSectorsOffset] ?: defaultSetupSectors;
    unsigned protocol = head[bootProtocolOffset] | (unsigned)head[bootProtocolOffset + 1] << 8;
    uint64_t expected = (uint64_t)(setupSectors + 1) * sectorSize;
    if (protocol >= protocolWithSystemSize) {
        // Kernels have rounded this size to paragraphs both ways.
        uint64_t systemSize = (uint64_t)little32(head + bootSystemSizeOffset) * paragraphSize;
        expected += systemSize > paragraphSize ? systemSize - paragraphSize : 0;
    }
    if (fileSize < expected) {
        image.kind = LinuxKernelImageKindTruncatedBzImage;
    }
    if (protocol >= protocolWithInitialSize) {
        // It moves itself to that address, and expands itself there; QEMU has loaded it below.
        uint64_t initialSize = little32(head + bootInitialSizeOffset);
        uint64_t end;
        if (__builtin_add_overflow(little64(head + bootPreferredAddressOffset), initialSize, &end)) {
            end = UINT64_MAX;
        }
        image.ownSize = MAX(fileSize, initialSize);
        image.loadedSize = initialSize > 0 ? MAX(fileSize, end) : fileSize;
    }
    return image;
}

LinuxKernelImage LinuxKernelImageRecognize(int fileDescriptor) {
    unsigned char head[APPLEVZ_KERNEL_HEAD_LENGTH] = {0};
    struct stat status;
    ssize_t count = pread(fileDescriptor, head, sizeof head, 0);
    LinuxKernelImage image = {LinuxKernelImageKindUnknown, 0, 0};
    if (count <= 0 || fstat(fileDescriptor, &status) != 0) {
        return image;
    }
    image.loadedSize = image.ownSize = (uint64_t)status.st_size;
    switch (applevz_kernel_file_with_head(head, (size_t)count).kind) {
    case APPLEVZ_KERNEL_BZIMAGE:
        return recognizeBzImage(head, image.loadedSize);
    case APPLEVZ_KERNEL_ELF:
        return recognizeELF(fileDescriptor, image.loadedSize);
    case APPLEVZ_KERNEL_ARM64_IMAGE:
        image.kind = LinuxKernelImageKindARM64Image;
        image.loadedSize = image.ownSize = little64(head + arm64ImageSizeOffset) ?: image.loadedSize;
        break;
    case APPLEVZ_KERNEL_EFI_COMPRESSED:
        image.kind = LinuxKernelImageKindEFICompressedImage;
        break;
    case APPLEVZ_KERNEL_EFI_PROGRAM:
        image.kind = LinuxKernelImageKindEFIProgram;
        break;
    case APPLEVZ_KERNEL_GZIP:
        image.kind = LinuxKernelImageKindGzip;
        break;
    case APPLEVZ_KERNEL_XZ:
        image.kind = LinuxKernelImageKindXz;
        break;
    case APPLEVZ_KERNEL_ZSTD:
        image.kind = LinuxKernelImageKindZstd;
        break;
    case APPLEVZ_KERNEL_LZ4:
        image.kind = LinuxKernelImageKindLZ4;
        break;
    case APPLEVZ_KERNEL_BZIP2:
        image.kind = LinuxKernelImageKindBzip2;
        break;
    case APPLEVZ_KERNEL_UNKNOWN:
        break;
    }
    return image;
}

uint64_t LinuxKernelImageLeastMemorySize(LinuxKernelImage image, uint64_t ramdiskSize) {
    // The others say themselves what they take, or are not known well enough.
    if (image.kind != LinuxKernelImageKindELFWithPVHNote) {
        return image.loadedSize;
    }
    // Of the memory that it takes for itself a kernel had half as much again when its first program ran (6.1, for
    // clouds and for PCs, without a device). Two fifths of it are asked for. The RAM disk is there as it came, and
    // unpacked.
    uint64_t least = image.ownSize;
    const uint64_t more[] = {image.ownSize / 5 * 2, ramdiskSize, ramdiskSize};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (__builtin_add_overflow(least, more[i], &least)) {
            return UINT64_MAX;
        }
    }
    return MAX(least, image.loadedSize);
}

BOOL LinuxKernelImageKindBootsHere(LinuxKernelImageKind kind) {
#if defined(__x86_64__)
    return kind == LinuxKernelImageKindBzImage || kind == LinuxKernelImageKindELFWithPVHNote;
#elif defined(__aarch64__)
    // QEMU would also unpack a gzip-compressed Image; Apple's framework would not, and a configuration is to mean the
    // same on both.
    return kind == LinuxKernelImageKindARM64Image;
#else
#error "no kernel image format is known for this architecture"
#endif
}

NSString *LinuxKernelImageKindDescription(LinuxKernelImageKind kind) {
    switch (kind) {
    case LinuxKernelImageKindUnknown:
        return @"not a Linux kernel image of a known kind";
    case LinuxKernelImageKindBzImage:
        return @"an x86 kernel (bzImage)";
    case LinuxKernelImageKindTruncatedBzImage:
        return @"an x86 kernel (bzImage) whose end is missing";
    case LinuxKernelImageKindELFWithPVHNote:
        return @"an uncompressed x86 kernel (ELF vmlinux)";
    case LinuxKernelImageKindELFWithoutPVHNote:
        return @"an x86 ELF file without a PVH entry point";
    case LinuxKernelImageKindDamagedELF:
        return @"an x86 ELF file with parts that lie beyond its end or on each other";
    case LinuxKernelImageKindELFOfOtherProcessor:
        return @"an ELF file that is not for x86";
    case LinuxKernelImageKindARM64Image:
        return @"an arm64 kernel (Image)";
    case LinuxKernelImageKindEFICompressedImage:
        return @"a compressed kernel inside an EFI program (vmlinuz.efi)";
    case LinuxKernelImageKindEFIProgram:
        return @"an EFI program, not a kernel image";
    case LinuxKernelImageKindGzip:
        return @"a gzip-compressed file";
    case LinuxKernelImageKindXz:
        return @"an xz-compressed file";
    case LinuxKernelImageKindZstd:
        return @"a zstd-compressed file";
    case LinuxKernelImageKindLZ4:
        return @"an lz4-compressed file";
    case LinuxKernelImageKindBzip2:
        return @"a bzip2-compressed file";
    }
    return @"not a Linux kernel image of a known kind";
}

NSString *LinuxKernelImageAdvice(int fileDescriptor) {
#if defined(__x86_64__)
    NSString *wanted = @"an x86_64 bzImage (vmlinuz), or an uncompressed x86_64 vmlinux built with CONFIG_PVH";
#else
    NSString *wanted = @"an uncompressed arm64 Image";
#endif
    switch (LinuxKernelImageRecognize(fileDescriptor).kind) {
    case LinuxKernelImageKindTruncatedBzImage:
    case LinuxKernelImageKindDamagedELF:
        return @"Copy or download it again.";
    default:
        break;
    }
    NSString *expansion = applevz_kernel_expansion(applevz_kernel_file_at(fileDescriptor));
    return expansion ? [NSString stringWithFormat:@"%@; on this host the result must be %@.", expansion, wanted]
                     : [NSString stringWithFormat:@"This host boots %@.", wanted];
}
