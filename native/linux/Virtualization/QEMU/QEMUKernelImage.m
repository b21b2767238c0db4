// SPDX-License-Identifier: Apache-2.0
#import "QEMUKernelImage.h"
#include <elf.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Of the kernel's Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
enum {
    bootSetupSectorsOffset = 0x1f1,
    bootSystemSizeOffset = 0x1f4,
    bootFlagOffset = 0x1fe,
    bootHeaderMagicOffset = 0x202,
    bootProtocolOffset = 0x206,
};

// Of Documentation/arch/arm64/booting.rst.
enum { arm64ImageSizeOffset = 16, arm64MagicOffset = 56 };

// XEN_ELFNOTE_PHYS32_ENTRY, which carries the address at which a PVH guest is entered.
enum { noteTypePVHEntry = 18 };

static uint32_t little32(const unsigned char *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static uint64_t little64(const unsigned char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

static BOOL hasBytes(const unsigned char *head, size_t length, size_t offset, const char *bytes, size_t count)
{
    return offset + count <= length && memcmp(head + offset, bytes, count) == 0;
}

// Notes are a name's and a descriptor's size, a type, and then both, each padded to four bytes.
static BOOL notesHavePVHEntry(const unsigned char *notes, size_t length)
{
    size_t offset = 0;
    while (length - offset >= sizeof(Elf32_Nhdr)) {
        uint32_t nameSize = little32(notes + offset);
        uint32_t descriptorSize = little32(notes + offset + 4);
        uint32_t type = little32(notes + offset + 8);
        offset += sizeof(Elf32_Nhdr);
        uint64_t padded = (((uint64_t)nameSize + 3) & ~3ULL) + (((uint64_t)descriptorSize + 3) & ~3ULL);
        if (padded > length - offset) {
            return NO;
        }
        if (type == noteTypePVHEntry && nameSize == 4 && memcmp(notes + offset, "Xen", 4) == 0) {
            return YES;
        }
        offset += padded;
    }
    return NO;
}

static BOOL segmentHasPVHEntry(int fileDescriptor, uint64_t offset, uint64_t size)
{
    enum { largestNotes = 1 << 20 };
    if (size == 0 || size > largestNotes || offset > INT64_MAX) {
        return NO;
    }
    unsigned char *notes = malloc(size);
    ssize_t length = notes ? pread(fileDescriptor, notes, size, (off_t)offset) : -1;
    BOOL found = length > 0 && notesHavePVHEntry(notes, (size_t)length);
    free(notes);
    return found;
}

static QEMUKernelImage recognizeELF(int fileDescriptor, const unsigned char *head, size_t length)
{
    QEMUKernelImage image = {QEMUKernelImageKindELFOfOtherProcessor, 0};
    BOOL is64Bit = head[EI_CLASS] == ELFCLASS64;
    if (length < sizeof(Elf64_Ehdr) || head[EI_DATA] != ELFDATA2LSB) {
        return image;
    }
    Elf32_Ehdr header32;
    Elf64_Ehdr header64;
    memcpy(&header32, head, sizeof header32);
    memcpy(&header64, head, sizeof header64);
    uint16_t machine = le16toh(header32.e_machine);
    if (machine != EM_X86_64 && machine != EM_386) {
        return image;
    }
    image.kind = QEMUKernelImageKindELFWithoutPVHNote;
    uint64_t offset = is64Bit ? le64toh(header64.e_phoff) : le32toh(header32.e_phoff);
    unsigned count = le16toh(is64Bit ? header64.e_phnum : header32.e_phnum);
    unsigned entrySize = le16toh(is64Bit ? header64.e_phentsize : header32.e_phentsize);
    size_t needed = is64Bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    for (unsigned i = 0; i < count && entrySize >= needed && offset <= INT64_MAX - (1 << 24); i++) {
        Elf32_Phdr segment32;
        Elf64_Phdr segment64;
        void *segment = is64Bit ? (void *)&segment64 : (void *)&segment32;
        if (pread(fileDescriptor, segment, needed, (off_t)(offset + (uint64_t)i * entrySize)) != (ssize_t)needed) {
            break;
        }
        uint32_t type = le32toh(is64Bit ? segment64.p_type : segment32.p_type);
        uint64_t fileOffset = is64Bit ? le64toh(segment64.p_offset) : le32toh(segment32.p_offset);
        uint64_t fileSize = is64Bit ? le64toh(segment64.p_filesz) : le32toh(segment32.p_filesz);
        uint64_t memorySize = is64Bit ? le64toh(segment64.p_memsz) : le32toh(segment32.p_memsz);
        if (type == PT_LOAD && __builtin_add_overflow(image.loadedSize, memorySize, &image.loadedSize)) {
            image.loadedSize = UINT64_MAX;
        } else if (type == PT_NOTE && segmentHasPVHEntry(fileDescriptor, fileOffset, fileSize)) {
            image.kind = QEMUKernelImageKindELFWithPVHNote;
        }
    }
    return image;
}

static QEMUKernelImage recognizeBzImage(const unsigned char *head, uint64_t fileSize)
{
    enum { sectorSize = 512, defaultSetupSectors = 4, paragraphSize = 16, protocolWithSystemSize = 0x0204 };
    QEMUKernelImage image = {QEMUKernelImageKindBzImage, fileSize};
    unsigned setupSectors = head[bootSetupSectorsOffset] ?: defaultSetupSectors;
    unsigned protocol = head[bootProtocolOffset] | (unsigned)head[bootProtocolOffset + 1] << 8;
    uint64_t expected = (uint64_t)(setupSectors + 1) * sectorSize;
    if (protocol >= protocolWithSystemSize) {
        // Kernels have rounded this size to paragraphs both ways.
        uint64_t systemSize = (uint64_t)little32(head + bootSystemSizeOffset) * paragraphSize;
        expected += systemSize > paragraphSize ? systemSize - paragraphSize : 0;
    }
    if (fileSize < expected) {
        image.kind = QEMUKernelImageKindTruncatedBzImage;
    }
    return image;
}

QEMUKernelImage QEMUKernelImageRecognize(int fileDescriptor)
{
    static const struct {
        const char *bytes;
        size_t length;
        QEMUKernelImageKind kind;
    } compressions[] = {
        {"\x1f\x8b\x08", 3, QEMUKernelImageKindGzip},     {"\xfd" "7zXZ\0", 6, QEMUKernelImageKindXz},
        {"\x28\xb5\x2f\xfd", 4, QEMUKernelImageKindZstd}, {"\x04\x22\x4d\x18", 4, QEMUKernelImageKindLZ4},
        {"\x02\x21\x4c\x18", 4, QEMUKernelImageKindLZ4},  {"BZh", 3, QEMUKernelImageKindBzip2},
    };
    unsigned char head[1024] = {0};
    struct stat status;
    ssize_t count = pread(fileDescriptor, head, sizeof head, 0);
    QEMUKernelImage image = {QEMUKernelImageKindUnknown, 0};
    if (count <= 0 || fstat(fileDescriptor, &status) != 0) {
        return image;
    }
    size_t length = (size_t)count;
    image.loadedSize = (uint64_t)status.st_size;
    // A bzImage is looked for first: with an EFI stub it is an EFI program as well.
    if (hasBytes(head, length, bootFlagOffset, "\x55\xaa", 2)
        && hasBytes(head, length, bootHeaderMagicOffset, "HdrS", 4)) {
        return recognizeBzImage(head, image.loadedSize);
    }
    if (hasBytes(head, length, 0, ELFMAG, SELFMAG)) {
        return recognizeELF(fileDescriptor, head, length);
    }
    if (hasBytes(head, length, arm64MagicOffset, "ARM\x64", 4)) {
        image.kind = QEMUKernelImageKindARM64Image;
        image.loadedSize = little64(head + arm64ImageSizeOffset) ?: image.loadedSize;
        return image;
    }
    if (hasBytes(head, length, 0, "MZ", 2)) {
        image.kind = hasBytes(head, length, 4, "zimg", 4) ? QEMUKernelImageKindEFICompressedImage
                                                          : QEMUKernelImageKindEFIProgram;
        return image;
    }
    for (size_t i = 0; i < sizeof compressions / sizeof *compressions; i++) {
        if (hasBytes(head, length, 0, compressions[i].bytes, compressions[i].length)) {
            image.kind = compressions[i].kind;
        }
    }
    return image;
}

BOOL QEMUKernelImageKindBootsHere(QEMUKernelImageKind kind)
{
#if defined(__x86_64__)
    return kind == QEMUKernelImageKindBzImage || kind == QEMUKernelImageKindELFWithPVHNote;
#elif defined(__aarch64__)
    // QEMU would also unpack a gzip-compressed Image; Apple's framework would not, and a configuration is to mean the
    // same on both.
    return kind == QEMUKernelImageKindARM64Image;
#else
#error "no kernel image format is known for this architecture"
#endif
}

NSString *QEMUKernelImageKindDescription(QEMUKernelImageKind kind)
{
    switch (kind) {
        case QEMUKernelImageKindUnknown: return @"not a Linux kernel image of a known kind";
        case QEMUKernelImageKindBzImage: return @"an x86 kernel (bzImage)";
        case QEMUKernelImageKindTruncatedBzImage: return @"an x86 kernel (bzImage) whose end is missing";
        case QEMUKernelImageKindELFWithPVHNote: return @"an uncompressed x86 kernel (ELF vmlinux)";
        case QEMUKernelImageKindELFWithoutPVHNote: return @"an x86 ELF file without a PVH entry point";
        case QEMUKernelImageKindELFOfOtherProcessor: return @"an ELF file that is not for x86";
        case QEMUKernelImageKindARM64Image: return @"an arm64 kernel (Image)";
        case QEMUKernelImageKindEFICompressedImage: return @"a compressed kernel inside an EFI program (vmlinuz.efi)";
        case QEMUKernelImageKindEFIProgram: return @"an EFI program, not a kernel image";
        case QEMUKernelImageKindGzip: return @"a gzip-compressed file";
        case QEMUKernelImageKindXz: return @"an xz-compressed file";
        case QEMUKernelImageKindZstd: return @"a zstd-compressed file";
        case QEMUKernelImageKindLZ4: return @"an lz4-compressed file";
        case QEMUKernelImageKindBzip2: return @"a bzip2-compressed file";
    }
    return @"not a Linux kernel image of a known kind";
}

NSString *QEMUKernelImageKindAdvice(QEMUKernelImageKind kind)
{
#if defined(__x86_64__)
    NSString *wanted = @"an x86_64 bzImage (vmlinuz), or an uncompressed x86_64 vmlinux built with CONFIG_PVH";
#else
    NSString *wanted = @"an uncompressed arm64 Image";
#endif
    switch (kind) {
        case QEMUKernelImageKindGzip:
        case QEMUKernelImageKindXz:
        case QEMUKernelImageKindZstd:
        case QEMUKernelImageKindLZ4:
        case QEMUKernelImageKindBzip2:
            return [NSString stringWithFormat:@"Decompress it; on this host the result must be %@.", wanted];
        case QEMUKernelImageKindTruncatedBzImage:
            return @"Copy or download it again.";
        default:
            return [NSString stringWithFormat:@"This host boots %@.", wanted];
    }
}
