// SPDX-License-Identifier: Apache-2.0
// What a file that is to be booted as a Linux kernel really is, told from its contents.
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

typedef NS_ENUM(NSInteger, QEMUKernelImageKind) {
    QEMUKernelImageKindUnknown,

    /*! x86's bzImage (arch/x86/boot/bzImage, vmlinuz). */
    QEMUKernelImageKindBzImage,

    /*! A bzImage of which the end is missing: it would start and then hang without a word. */
    QEMUKernelImageKindTruncatedBzImage,

    /*! An uncompressed x86 kernel that says where to enter it (CONFIG_PVH): the fastest to boot. */
    QEMUKernelImageKindELFWithPVHNote,

    /*! An x86 ELF file that does not; QEMU ends at once when given one. */
    QEMUKernelImageKindELFWithoutPVHNote,

    /*! An ELF file for a processor other than x86. */
    QEMUKernelImageKindELFOfOtherProcessor,

    /*! arm64's Image. */
    QEMUKernelImageKindARM64Image,

    /*! EFI programs: a kernel that decompresses itself (arm64's vmlinuz.efi), and others, such as unified kernels. */
    QEMUKernelImageKindEFICompressedImage,
    QEMUKernelImageKindEFIProgram,

    /*! A compressed file that is nothing more: no kernel until it is decompressed. */
    QEMUKernelImageKindGzip,
    QEMUKernelImageKindXz,
    QEMUKernelImageKindZstd,
    QEMUKernelImageKindLZ4,
    QEMUKernelImageKindBzip2,
};

typedef struct {
    QEMUKernelImageKind kind;

    /*! The guest memory that the image takes when it is loaded; a lower bound, since a bzImage grows as it starts. */
    uint64_t loadedSize;
} QEMUKernelImage;

#if defined(__cplusplus)
extern "C" {
#endif

/*! Looks at the file that is open at fileDescriptor. Its offset is neither used nor changed. */
QEMUKernelImage QEMUKernelImageRecognize(int fileDescriptor);

/*! Whether QEMU's -kernel boots such an image on a machine of this host's architecture. */
BOOL QEMUKernelImageKindBootsHere(QEMUKernelImageKind kind);

/*! "a gzip-compressed file", to complete a sentence with. */
NSString *QEMUKernelImageKindDescription(QEMUKernelImageKind kind);

/*! What to do about an image of a kind that does not boot here. One sentence. */
NSString *QEMUKernelImageKindAdvice(QEMUKernelImageKind kind);

#if defined(__cplusplus)
}
#endif

NS_ASSUME_NONNULL_END
