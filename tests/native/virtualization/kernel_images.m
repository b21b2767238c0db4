// SPDX-License-Identifier: Apache-2.0
// What files are recognised as kernels, and which kernels are refused in which words.
#import "virtualization_support.h"
#import "host/linux_kernel/LinuxKernelImage.h"
#include <elf.h>
#include <stddef.h>
#include <time.h>

#if defined(__x86_64__)
static NSString *const bootable = @"bzImage";
#else
static NSString *const bootable = @"arm64 Image";
#endif

static LinuxKernelImageKind kindOf(NSData *contents) {
    NSURL *file = writeFile(@"kind", contents);
    int descriptor = open(file.path.UTF8String, O_RDONLY | O_CLOEXEC);
    LinuxKernelImageKind kind = LinuxKernelImageRecognize(descriptor).kind;
    CHECK(lseek(descriptor, 0, SEEK_CUR) == 0);
    close(descriptor);
    return kind;
}

// An ELF file with one loaded segment and, if noteType is not 0, a Xen note of that type behind another one.
static NSMutableData *elf64(uint16_t machine, uint32_t noteType) {
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

static NSMutableData *elf32(uint16_t machine, uint32_t noteType) {
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

static void kernelsAreToldApart(void) {
    NSMutableData *efiStub = bzImage(4096, 1024 + 4096);
    put(efiStub, 0, "MZ", 2);
    NSMutableData *arm64 = [NSMutableData dataWithLength:4096];
    put(arm64, 0, "MZ", 2);
    put(arm64, 56, "ARM\x64", 4);
    CHECK(kindOf(bzImage(4096, 1024 + 4096)) == LinuxKernelImageKindBzImage);
    CHECK(kindOf(bzImage(4096, 1024 + 4096 + 700)) == LinuxKernelImageKindBzImage);
    CHECK(kindOf(efiStub) == LinuxKernelImageKindBzImage);
    CHECK(kindOf(bzImage(4096, 1024 + 4096 - 17)) == LinuxKernelImageKindTruncatedBzImage);
    CHECK(kindOf(bzImage(1 << 20, 1024)) == LinuxKernelImageKindTruncatedBzImage);
    CHECK(kindOf(elf64(EM_X86_64, 18)) == LinuxKernelImageKindELFWithPVHNote);
    CHECK(kindOf(elf64(EM_X86_64, 17)) == LinuxKernelImageKindELFWithoutPVHNote);
    CHECK(kindOf(elf64(EM_X86_64, 0)) == LinuxKernelImageKindELFWithoutPVHNote);
    CHECK(kindOf(elf32(EM_386, 18)) == LinuxKernelImageKindELFWithPVHNote);
    CHECK(kindOf(elf32(EM_386, 3)) == LinuxKernelImageKindELFWithoutPVHNote);
    CHECK(kindOf(elf64(EM_AARCH64, 18)) == LinuxKernelImageKindELFOfOtherProcessor);
    CHECK(kindOf(arm64) == LinuxKernelImageKindARM64Image);
    CHECK(kindOf(startingWith("MZ\0\0zimg", 8)) == LinuxKernelImageKindEFICompressedImage);
    CHECK(kindOf(startingWith("MZ", 2)) == LinuxKernelImageKindEFIProgram);
    CHECK(kindOf(startingWith("\x1f\x8b\x08", 3)) == LinuxKernelImageKindGzip);
    CHECK(kindOf(startingWith("\xfd"
                              "7zXZ\0",
                              6)) == LinuxKernelImageKindXz);
    CHECK(kindOf(startingWith("\x28\xb5\x2f\xfd", 4)) == LinuxKernelImageKindZstd);
    CHECK(kindOf(startingWith("\x04\x22\x4d\x18", 4)) == LinuxKernelImageKindLZ4);
    CHECK(kindOf(startingWith("BZh9", 4)) == LinuxKernelImageKindBzip2);
    CHECK(kindOf(startingWith("#!/bin/sh", 9)) == LinuxKernelImageKindUnknown);
    CHECK(kindOf([NSData data]) == LinuxKernelImageKindUnknown);
}

// Every cut of a file, and headers that point outside it, are recognised as something without reading out of bounds.
static void damagedKernelsAreHarmless(void) {
    NSArray *whole = @[ bzImage(4096, 1024 + 4096), elf64(EM_X86_64, 18), elf32(EM_386, 18) ];
    for (NSMutableData *image in whole) {
        for (NSUInteger length = 0; length < 700; length += length < 80 ? 1 : 7) {
            CHECK(kindOf([image subdataWithRange:NSMakeRange(0, length)]) != LinuxKernelImageKindELFWithPVHNote ||
                  length >= 532);
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

// As many headers as there can be, each of as many notes as are looked at: hostile, and all for nothing.
static void manyNotesTakeNoTime(void) {
    enum { count = 65535, notes = 1 << 20 };
    size_t table = 64 + count * sizeof(Elf64_Phdr);
    NSMutableData *image = elf64(EM_X86_64, 0);
    [image setLength:table + notes];
    uint16_t headers = count;
    put(image, 56, &headers, 2);
    Elf64_Phdr segment = {.p_type = PT_NOTE, .p_offset = table, .p_filesz = notes};
    for (size_t i = 0; i < count; i++) {
        put(image, 64 + i * sizeof segment, &segment, sizeof segment);
    }
    struct timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    CHECK(kindOf(image) == LinuxKernelImageKindELFWithoutPVHNote);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    CHECK(end.tv_sec - start.tv_sec < 2);
    // A note that is behind too many others is not found; one that is first is.
    uint32_t note[5] = {4, 4, 18, 0, 0};
    memcpy(&note[3], "Xen", 4);
    put(image, table, note, sizeof note);
    CHECK(kindOf(image) == LinuxKernelImageKindELFWithPVHNote);
}

static void partsThatCannotBeLoadedAreDamage(void) {
    const struct {
        Elf64_Phdr first, second;
        BOOL sound;
    } cases[] = {
        {{.p_paddr = 4096, .p_memsz = 4096}, {.p_paddr = 0, .p_memsz = 4096}, YES},
        {{.p_paddr = 4096, .p_memsz = 4096}, {.p_paddr = 5000, .p_memsz = 0}, YES},
        {{.p_paddr = 0, .p_memsz = 4097}, {.p_paddr = 4096, .p_memsz = 4096}, NO},
        {{.p_paddr = 4096, .p_memsz = 4096}, {.p_paddr = 0, .p_memsz = 1 << 20}, NO},
        {{.p_paddr = 0, .p_memsz = 4096, .p_filesz = 4097}, {.p_memsz = 0}, NO},
        {{.p_offset = 1, .p_memsz = 4096, .p_filesz = 4096}, {.p_memsz = 0}, NO},
        {{.p_offset = UINT64_MAX, .p_memsz = 4096, .p_filesz = 2}, {.p_memsz = 0}, NO},
        {{.p_paddr = UINT64_MAX - 1, .p_memsz = 4096}, {.p_memsz = 0}, NO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NSMutableData *image = elf64(EM_X86_64, 18);
        uint16_t count = 3;
        Elf64_Phdr notes = {.p_type = PT_NOTE, .p_offset = 512, .p_filesz = 40};
        Elf64_Phdr parts[2] = {cases[i].first, cases[i].second};
        parts[0].p_type = parts[1].p_type = PT_LOAD;
        put(image, 56, &count, 2);
        put(image, 64, parts, sizeof parts);
        put(image, 64 + sizeof parts, &notes, sizeof notes);
        CHECK(kindOf(image) == (cases[i].sound ? LinuxKernelImageKindELFWithPVHNote : LinuxKernelImageKindDamagedELF));
    }
    NSMutableData *otherEntries = elf64(EM_X86_64, 18);
    uint16_t size = sizeof(Elf64_Phdr) + 8;
    put(otherEntries, 54, &size, 2);
    CHECK(kindOf(otherEntries) == LinuxKernelImageKindDamagedELF);
}

static void kernelsThatDoNotBootHereAreNamed(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZLinuxBootLoader *loader = (VZLinuxBootLoader *)configuration.bootLoader;
    NSMutableData *beyondItsEnd = elf64(EM_X86_64, 18);
    uint64_t beyond = 5 << 20;
    put(beyondItsEnd, 64 + offsetof(Elf64_Phdr, p_filesz), &beyond, 8);
    NSDictionary *kinds = @{
        @"a gzip-compressed file" : startingWith("\x1f\x8b\x08", 3),
        @"a zstd-compressed file" : startingWith("\x28\xb5\x2f\xfd", 4),
        @"an x86 ELF file without a PVH entry point" : elf64(EM_X86_64, 0),
        @"an ELF file that is not for x86" : elf64(EM_AARCH64, 0),
        @"an x86 ELF file with parts that lie beyond its end or on each other" : beyondItsEnd,
        @"a compressed kernel inside an EFI program (vmlinuz.efi)" : startingWith("MZ\0\0zimg", 8),
        @"an EFI program, not a kernel image" : startingWith("MZ", 2),
        @"not a Linux kernel image of a known kind" : startingWith("hello", 5),
    };
    for (NSString *kind in kinds) {
        loader.kernelURL = writeFile(@"other", kinds[kind]);
        CHECK_REFUSED(configuration, words(@"bootLoader.kernelURL is \"%@\", which is %@.", inFolder(@"other"), kind),
                      kinds[kind] == beyondItsEnd ? @"again" : bootable);
    }
    loader.kernelURL = writeFile(@"other", bzImage(1 << 20, 4096));
    CHECK_REFUSED(configuration,
                  words(@"bootLoader.kernelURL is \"%@\", which is an x86 kernel (bzImage) whose end is missing.",
                        inFolder(@"other")),
                  @"again");
    loader.kernelURL = writeFile(@"other", elf64(EM_X86_64, 18));
    CHECK_VALID(configuration);
    // What it takes in memory counts, not its file.
    configuration.memorySize = 5 << 20;
    CHECK_REFUSED(configuration,
                  @"memorySize is 5242880 bytes, but the kernel and its initial RAM disk alone take 5242880.",
                  @"more memory");
}

static void memoryTooSmallForAKernelsStartIsRefused(void) {
    VZVirtualMachineConfiguration *configuration = validConfiguration();
    VZLinuxBootLoader *loader = (VZLinuxBootLoader *)configuration.bootLoader;
    loader.initialRamdiskURL = diskImage(@"ramdisk", 1 << 20);
    NSString *tooLittle = @"memorySize is %d bytes, too little for the kernel to start with its initial RAM disk.";

    // Of 5 MiB, and two fifths of that to work with, and the RAM disk as it came and unpacked.
    loader.kernelURL = writeFile(@"other", elf64(EM_X86_64, 18));
    configuration.memorySize = 9 << 20;
    CHECK_VALID(configuration);
    configuration.memorySize = 8 << 20;
    CHECK_REFUSED(configuration, words(tooLittle, 8 << 20), @"more than 9437184 bytes (9 MiB)");
    configuration.memorySize = 6 << 20;
    CHECK_REFUSED(configuration,
                  @"memorySize is 6291456 bytes, but the kernel and its initial RAM disk alone take 6291456.", @"more");

    // Where it is counts as well as what it is.
    NSMutableData *high = elf64(EM_X86_64, 18);
    uint64_t address = 16 << 20;
    put(high, 64 + offsetof(Elf64_Phdr, p_paddr), &address, 8);
    loader.kernelURL = writeFile(@"other", high);
    configuration.memorySize = 22 << 20;
    CHECK_REFUSED(configuration,
                  @"memorySize is 23068672 bytes, but the kernel and its initial RAM disk alone take 23068672.",
                  @"more");
    configuration.memorySize = 23 << 20;
    CHECK_VALID(configuration);

    // A bzImage says where it expands itself to and what that takes.
    NSMutableData *compressed = bzImage(4096, 1024 + 4096);
    uint32_t room = 48 << 20;
    put(compressed, 0x258, &address, 8);
    put(compressed, 0x260, &room, 4);
    loader.kernelURL = writeFile(@"other", compressed);
    loader.initialRamdiskURL = nil;
    configuration.memorySize = 64 << 20;
    CHECK_REFUSED(configuration,
                  @"memorySize is 67108864 bytes, but the kernel and its initial RAM disk alone take 67108864.",
                  @"more");
    configuration.memorySize = 65 << 20;
    CHECK_VALID(configuration);
    // An older header has no such words, whatever stands there.
    put(compressed, 0x206, "\x09\x02", 2);
    loader.kernelURL = writeFile(@"other", compressed);
    configuration.memorySize = 64 << 20;
    CHECK_VALID(configuration);
    put(compressed, 0x206, "\x0f\x02", 2);
    address = UINT64_MAX;
    put(compressed, 0x258, &address, 8);
    loader.kernelURL = writeFile(@"other", compressed);
    CHECK_REFUSED(configuration,
                  @"memorySize is 67108864 bytes, but the kernel and its initial RAM disk alone take "
                  @"18446744073709551615.",
                  @"more");
}

int main(void) {
    void (*const tests[])(void) = {
        kernelsAreToldApart,
        damagedKernelsAreHarmless,
        manyNotesTakeNoTime,
        partsThatCannotBeLoadedAreDamage,
        kernelsThatDoNotBootHereAreNamed,
        memoryTooSmallForAKernelsStartIsRefused,
    };
    return runTests(tests, sizeof tests / sizeof *tests);
}
