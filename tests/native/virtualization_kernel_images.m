// SPDX-License-Identifier: Apache-2.0
// What files are recognised as kernels, and which kernels are refused in which words.
#import "virtualization_support.h"
#import "Virtualization/QEMU/QEMUKernelImage.h"
#include <elf.h>

#if defined(__x86_64__)
static NSString *const bootable = @"bzImage";
#else
static NSString *const bootable = @"arm64 Image";
#endif

static QEMUKernelImageKind kindOf(NSData *contents)
{
    NSURL *file = writeFile(@"kind", contents);
    int descriptor = open(file.path.UTF8String, O_RDONLY | O_CLOEXEC);
    QEMUKernelImageKind kind = QEMUKernelImageRecognize(descriptor).kind;
    CHECK(lseek(descriptor, 0, SEEK_CUR) == 0);
    close(descriptor);
    return kind;
}

// An ELF file with one loaded segment and, if noteType is not 0, a Xen note of that type behind another one.
static NSMutableData *elf64(uint16_t machine, uint32_t noteType)
{
    NSMutableData *data = [NSMutableData dataWithLength:4096];
    Elf64_Ehdr header = {.e_machine = machine, .e_phoff = 64, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2};
    memcpy(header.e_ident, ELFMAG "\2\1\1", 7);
    Elf64_Phdr segments[2] = {{.p_type = PT_LOAD, .p_memsz = 5 << 20},
                              {.p_type = PT_NOTE, .p_offset = 512, .p_filesz = 20 + 20}};
    uint32_t other[5] = {4, 4, 6, 0, 0}, note[5] = {4, 4, noteType, 0, 0};
    memcpy(&other[3], "GNU", 4);
    memcpy(&note[3], noteType ? "Xen" : "abc", 4);
    put(data, 0, &header, sizeof header);
    put(data, 64, segments, sizeof segments);
    put(data, 512, other, sizeof other);
    put(data, 532, note, sizeof note);
    return data;
}

static NSMutableData *elf32(uint16_t machine, uint32_t noteType)
{
    NSMutableData *data = [NSMutableData dataWithLength:4096];
    Elf32_Ehdr header = {.e_machine = machine, .e_phoff = 52, .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1};
    memcpy(header.e_ident, ELFMAG "\1\1\1", 7);
    Elf32_Phdr segment = {.p_type = PT_NOTE, .p_offset = 512, .p_filesz = 20};
    uint32_t note[5] = {4, 4, noteType, 0, 0};
    memcpy(&note[3], "Xen", 4);
    put(data, 0, &header, sizeof header);
    put(data, 52, &segment, sizeof segment);
    put(data, 512, note, sizeof note);
    return data;
}

static void kernelsAreToldApart(void)
{
    NSMutableData *efiStub = bzImage(4096, 1024 + 4096);
    put(efiStub, 0, "MZ", 2);
    NSMutableData *arm64 = [NSMutableData dataWithLength:4096];
    put(arm64, 0, "MZ", 2);
    put(arm64, 56, "ARM\x64", 4);
    CHECK(kindOf(bzImage(4096, 1024 + 4096)) == QEMUKernelImageKindBzImage);
    CHECK(kindOf(bzImage(4096, 1024 + 4096 + 700)) == QEMUKernelImageKindBzImage);
    CHECK(kindOf(efiStub) == QEMUKernelImageKindBzImage);
    CHECK(kindOf(bzImage(4096, 1024 + 4096 - 17)) == QEMUKernelImageKindTruncatedBzImage);
    CHECK(kindOf(bzImage(1 << 20, 1024)) == QEMUKernelImageKindTruncatedBzImage);
    CHECK(kindOf(elf64(EM_X86_64, 18)) == QEMUKernelImageKindELFWithPVHNote);
    CHECK(kindOf(elf64(EM_X86_64, 17)) == QEMUKernelImageKindELFWithoutPVHNote);
    CHECK(kindOf(elf64(EM_X86_64, 0)) == QEMUKernelImageKindELFWithoutPVHNote);
    CHECK(kindOf(elf32(EM_386, 18)) == QEMUKernelImageKindELFWithPVHNote);
    CHECK(kindOf(elf32(EM_386, 3)) == QEMUKernelImageKindELFWithoutPVHNote);
    CHECK(kindOf(elf64(EM_AARCH64, 18)) == QEMUKernelImageKindELFOfOtherProcessor);
    CHECK(kindOf(arm64) == QEMUKernelImageKindARM64Image);
    CHECK(kindOf(startingWith("MZ\0\0zimg", 8)) == QEMUKernelImageKindEFICompressedImage);
    CHECK(kindOf(startingWith("MZ", 2)) == QEMUKernelImageKindEFIProgram);
    CHECK(kindOf(startingWith("\x1f\x8b\x08", 3)) == QEMUKernelImageKindGzip);
    CHECK(kindOf(startingWith("\xfd" "7zXZ\0", 6)) == QEMUKernelImageKindXz);
    CHECK(kindOf(startingWith("\x28\xb5\x2f\xfd", 4)) == QEMUKernelImageKindZstd);
    CHECK(kindOf(startingWith("\x04\x22\x4d\x18", 4)) == QEMUKernelImageKindLZ4);
    CHECK(kindOf(startingWith("BZh9", 4)) == QEMUKernelImageKindBzip2);
    CHECK(kindOf(startingWith("#!/bin/sh", 9)) == QEMUKernelImageKindUnknown);
    CHECK(kindOf([NSData data]) == QEMUKernelImageKindUnknown);
}

// Every cut of a file, and headers that point outside it, are recognised as something without reading out of bounds.
static void damagedKernelsAreHarmless(void)
{
    NSArray *whole = @[ bzImage(4096, 1024 + 4096), elf64(EM_X86_64, 18), elf32(EM_386, 18) ];
    for (NSMutableData *image in whole) {
        for (NSUInteger length = 0; length < 700; length += length < 80 ? 1 : 7) {
            CHECK(kindOf([image subdataWithRange:NSMakeRange(0, length)]) != QEMUKernelImageKindELFWithPVHNote
                  || length >= 532);
        }
    }
    const uint64_t extremes[] = {0, 1, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 63};
    for (size_t i = 0; i < sizeof extremes / sizeof *extremes; i++) {
        for (size_t offset = 32; offset < 180; offset += 4) {
            NSMutableData *image = elf64(EM_X86_64, 18);
            put(image, offset, &extremes[i], 8);
            kindOf(image);
        }
        for (size_t offset = 512; offset < 552; offset += 4) {
            NSMutableData *image = elf64(EM_X86_64, 18);
            put(image, offset, &extremes[i], 4);
            kindOf(image);
        }
    }
}

static void kernelsThatDoNotBootHereAreNamed(void)
{
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZLinuxBootLoader *loader = (VZLinuxBootLoader *)configuration.bootLoader;
    NSDictionary *kinds = @{
        @"a gzip-compressed file" : startingWith("\x1f\x8b\x08", 3),
        @"a zstd-compressed file" : startingWith("\x28\xb5\x2f\xfd", 4),
        @"an x86 ELF file without a PVH entry point" : elf64(EM_X86_64, 0),
        @"an ELF file that is not for x86" : elf64(EM_AARCH64, 0),
        @"a compressed kernel inside an EFI program (vmlinuz.efi)" : startingWith("MZ\0\0zimg", 8),
        @"an EFI program, not a kernel image" : startingWith("MZ", 2),
        @"not a Linux kernel image of a known kind" : startingWith("hello", 5),
    };
    for (NSString *kind in kinds) {
        loader.kernelURL = writeFile(@"other", kinds[kind]);
        CHECK_REFUSED(configuration, words(@"bootLoader.kernelURL is \"%@\", which is %@.", inFolder(@"other"), kind),
                      bootable);
    }
    loader.kernelURL = writeFile(@"other", bzImage(1 << 20, 4096));
    CHECK_REFUSED(configuration,
                  words(@"bootLoader.kernelURL is \"%@\", which is an x86 kernel (bzImage) whose end is missing.",
                        inFolder(@"other")), @"again");
    loader.kernelURL = writeFile(@"other", elf64(EM_X86_64, 18));
    CHECK_VALID(configuration);
    // What it takes in memory counts, not its file.
    configuration.memorySize = 5 << 20;
    CHECK_REFUSED(configuration,
                  @"memorySize is 5242880 bytes, but the kernel and its initial RAM disk alone take 5242880.",
                  @"more memory");
}

int main(void)
{
    void (*const tests[])(void) = {
        kernelsAreToldApart, damagedKernelsAreHarmless, kernelsThatDoNotBootHereAreNamed,
    };
    return runTests(tests, sizeof tests / sizeof *tests);
}
