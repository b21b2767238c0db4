// SPDX-License-Identifier: Apache-2.0
#import "kernel_files.h"
#import <string.h>
#import <unistd.h>

// Of the kernel's Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"; of
// Documentation/arch/arm64/booting.rst; and of drivers/firmware/efi/libstub/zboot-header.S.
enum {
    BOOT_FLAG_OFFSET = 0x1fe,
    BOOT_MAGIC_OFFSET = 0x202,
    ARM64_MAGIC_OFFSET = 56,
    ZBOOT_MAGIC_OFFSET = 4,
    ZBOOT_PAYLOAD_OFFSET = 8,
    ZBOOT_PAYLOAD_LENGTH = 12,
    ZBOOT_COMPRESSION_OFFSET = 24,
    ELF_ORDER_OFFSET = 5,
    ELF_MACHINE_OFFSET = 18,
};

static const struct {
    const char *magic;
    size_t length;
    applevz_kernel_kind kind;
} compressions[] = {
    {"\x1f\x8b\x08", 3, APPLEVZ_KERNEL_GZIP},
    {"\xfd"
     "7zXZ\0",
     6, APPLEVZ_KERNEL_XZ},
    {"\x28\xb5\x2f\xfd", 4, APPLEVZ_KERNEL_ZSTD},
    {"\x04\x22\x4d\x18", 4, APPLEVZ_KERNEL_LZ4},
    {"\x02\x21\x4c\x18", 4, APPLEVZ_KERNEL_LZ4},
    {"BZh", 3, APPLEVZ_KERNEL_BZIP2},
};

// What expands what a kernel's header says it was compressed with, from a pipe to a pipe.
static const struct {
    const char *compression, *program;
} programs[] = {
    {"gzip", "gunzip"}, {"xz", "unxz"},       {"xzkern", "unxz"}, {"lzma", "unlzma"},
    {"zstd", "unzstd"}, {"zstd22", "unzstd"}, {"lz4", "unlz4"},   {"lzo", "unlzop"},
};

static BOOL has(const unsigned char *head, size_t length, size_t offset, const char *bytes, size_t count) {
    return offset + count <= length && memcmp(head + offset, bytes, count) == 0;
}

static uint32_t little32(const unsigned char *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static applevz_kernel_file efi_program(const unsigned char *head, size_t length) {
    applevz_kernel_file file = {.kind = APPLEVZ_KERNEL_EFI_PROGRAM};
    if (!has(head, length, ZBOOT_MAGIC_OFFSET, "zimg", 4))
        return file;
    file.kind = APPLEVZ_KERNEL_EFI_COMPRESSED;
    if (length < ZBOOT_COMPRESSION_OFFSET + sizeof file.compression)
        return file;
    file.payload_offset = little32(head + ZBOOT_PAYLOAD_OFFSET);
    file.payload_length = little32(head + ZBOOT_PAYLOAD_LENGTH);
    memcpy(file.compression, head + ZBOOT_COMPRESSION_OFFSET, sizeof file.compression - 1);
    return file;
}

applevz_kernel_file applevz_kernel_file_with_head(const unsigned char *head, size_t length) {
    applevz_kernel_file file = {.kind = APPLEVZ_KERNEL_UNKNOWN};
    // A bzImage is looked for first, and an Image before other EFI programs: with an EFI stub they are such programs as
    // well.
    if (has(head, length, BOOT_FLAG_OFFSET, "\x55\xaa", 2) && has(head, length, BOOT_MAGIC_OFFSET, "HdrS", 4)) {
        file.kind = APPLEVZ_KERNEL_BZIMAGE;
    } else if (has(head, length, 0, "\177ELF", 4)) {
        file.kind = APPLEVZ_KERNEL_ELF;
        if (length >= ELF_MACHINE_OFFSET + 2) {
            const unsigned char *machine = head + ELF_MACHINE_OFFSET;
            bool is_big = head[ELF_ORDER_OFFSET] == 2;
            file.machine = (uint16_t)(machine[is_big] | machine[!is_big] << 8);
        }
    } else if (has(head, length, ARM64_MAGIC_OFFSET, "ARM\x64", 4)) {
        file.kind = APPLEVZ_KERNEL_ARM64_IMAGE;
    } else if (has(head, length, 0, "MZ", 2)) {
        return efi_program(head, length);
    }
    for (size_t i = 0; i < sizeof compressions / sizeof *compressions && file.kind == APPLEVZ_KERNEL_UNKNOWN; i++)
        if (has(head, length, 0, compressions[i].magic, compressions[i].length))
            file.kind = compressions[i].kind;
    return file;
}

applevz_kernel_file applevz_kernel_file_at(int file) {
    unsigned char head[APPLEVZ_KERNEL_HEAD_LENGTH];
    ssize_t count = pread(file, head, sizeof head, 0);
    return applevz_kernel_file_with_head(head, count > 0 ? (size_t)count : 0);
}

NSString *applevz_kernel_description(applevz_kernel_file file) {
    switch (file.kind) {
    case APPLEVZ_KERNEL_BZIMAGE:
        return @"an x86 kernel (bzImage)";
    case APPLEVZ_KERNEL_ELF:
        return file.machine == APPLEVZ_MACHINE_X86_64    ? @"an uncompressed x86 kernel (ELF vmlinux)"
               : file.machine == APPLEVZ_MACHINE_AARCH64 ? @"an arm64 kernel as an ELF file (vmlinux), not as an Image"
                                                         : @"an ELF file";
    case APPLEVZ_KERNEL_ARM64_IMAGE:
        return @"an arm64 kernel (Image)";
    case APPLEVZ_KERNEL_EFI_COMPRESSED:
        return @"a compressed kernel inside an EFI program (vmlinuz.efi)";
    case APPLEVZ_KERNEL_EFI_PROGRAM:
        return @"an EFI program, not a kernel image";
    case APPLEVZ_KERNEL_GZIP:
        return @"a gzip-compressed file";
    case APPLEVZ_KERNEL_XZ:
        return @"an xz-compressed file";
    case APPLEVZ_KERNEL_ZSTD:
        return @"a zstd-compressed file";
    case APPLEVZ_KERNEL_LZ4:
        return @"an lz4-compressed file";
    case APPLEVZ_KERNEL_BZIP2:
        return @"a bzip2-compressed file";
    case APPLEVZ_KERNEL_UNKNOWN:
        break;
    }
    return @"not a Linux kernel image of a known kind";
}

/// Of a kernel that decompresses itself; where its header says what nobody knows, the general way.
static NSString *expansion_of_payload(applevz_kernel_file file) {
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (strcmp(file.compression, programs[i].compression) == 0 && file.payload_length > 0)
            return [NSString
                stringWithFormat:@"Take the kernel out of it (tail -c +%llu FILE | head -c %u | %s > Image)",
                                 (unsigned long long)file.payload_offset + 1, file.payload_length, programs[i].program];
    return @"Take the kernel out of it, and decompress that";
}

NSString *applevz_kernel_expansion(applevz_kernel_file file) {
    switch (file.kind) {
    case APPLEVZ_KERNEL_GZIP:
        return @"Decompress it (gunzip < FILE > Image)";
    case APPLEVZ_KERNEL_XZ:
        return @"Decompress it (unxz < FILE > Image)";
    case APPLEVZ_KERNEL_ZSTD:
        return @"Decompress it (unzstd < FILE > Image)";
    case APPLEVZ_KERNEL_LZ4:
        return @"Decompress it (unlz4 < FILE > Image)";
    case APPLEVZ_KERNEL_BZIP2:
        return @"Decompress it (bunzip2 < FILE > Image)";
    case APPLEVZ_KERNEL_EFI_COMPRESSED:
        return expansion_of_payload(file);
    default:
        return nil;
    }
}
