// SPDX-License-Identifier: Apache-2.0
// What a file that is to be booted as a Linux kernel really is, told from its contents.
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

typedef NS_ENUM(NSInteger, LinuxKernelImageKind) {
    LinuxKernelImageKindUnknown,

    /// x86's bzImage (arch/x86/boot/bzImage, vmlinuz).
    LinuxKernelImageKindBzImage,

    /// A bzImage of which the end is missing: it would start and then hang without a word.
    LinuxKernelImageKindTruncatedBzImage,

    /// An uncompressed x86 kernel that says where to enter it (CONFIG_PVH): the fastest to boot.
    LinuxKernelImageKindELFWithPVHNote,

    /// An x86 ELF file that does not; QEMU ends at once when given one.
    LinuxKernelImageKindELFWithoutPVHNote,

    /// An x86 ELF file of which QEMU cannot load all parts, since they lie beyond its end or on each other.
    LinuxKernelImageKindDamagedELF,

    /// An ELF file for a processor other than x86.
    LinuxKernelImageKindELFOfOtherProcessor,

    /// arm64's Image.
    LinuxKernelImageKindARM64Image,

    /// EFI programs: a kernel that decompresses itself (arm64's vmlinuz.efi), and others, such as unified kernels.
    LinuxKernelImageKindEFICompressedImage,
    LinuxKernelImageKindEFIProgram,

    /// A compressed file that is nothing more: no kernel until it is decompressed.
    LinuxKernelImageKindGzip,
    LinuxKernelImageKindXz,
    LinuxKernelImageKindZstd,
    LinuxKernelImageKindLZ4,
    LinuxKernelImageKindBzip2,
};

typedef struct {
    LinuxKernelImageKind kind;

    /// The guest memory below which it cannot be loaded: up to the last address that it takes.
    uint64_t loadedSize;

    /// What it takes of that, once it is there.
    uint64_t ownSize;
} LinuxKernelImage;

#if defined(__cplusplus)
extern "C" {
#endif

/// Looks at the file that is open at fileDescriptor. Its offset is neither used nor changed.
LinuxKernelImage LinuxKernelImageRecognize(int fileDescriptor);

/// The memory of a machine with less than which the image, and a RAM disk of that many bytes, do not get as far as the
/// guest's first program. That program's needs, and most kernels' own, are beyond it.
uint64_t LinuxKernelImageLeastMemorySize(LinuxKernelImage image, uint64_t ramdiskSize);

/// Whether QEMU's -kernel boots such an image on a machine of this host's architecture.
BOOL LinuxKernelImageKindBootsHere(LinuxKernelImageKind kind);

/// "a gzip-compressed file", to complete a sentence with.
NSString *LinuxKernelImageKindDescription(LinuxKernelImageKind kind);

/// What to do about a file that is open there, and no image that boots here. One sentence.
NSString *LinuxKernelImageAdvice(int fileDescriptor);

#if defined(__cplusplus)
}
#endif

NS_ASSUME_NONNULL_END
