// SPDX-License-Identifier: Apache-2.0
#include "LinuxELFKernel.h"
#include "support/HostFileTransfer.h"
#include <elf.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

// XEN_ELFNOTE_PHYS32_ENTRY, which carries the address at which a PVH guest is entered.
enum { NOTE_OF_PVH_ENTRY = 18 };

// All notes together; a kernel's have some hundred bytes.
enum { MOST_NOTES = 1 << 20 };

typedef struct {
    uint32_t type;
    uint64_t offset, file_size; // in the file
    uint64_t address, size;     // in the memory
} segment;

static uint32_t little32(const unsigned char *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static segment segment_of(const unsigned char *entry, bool is_64_bit) {
    if (is_64_bit) {
        Elf64_Phdr header;
        memcpy(&header, entry, sizeof header);
        return (segment){le32toh(header.p_type), le64toh(header.p_offset), le64toh(header.p_filesz),
                         le64toh(header.p_paddr), le64toh(header.p_memsz)};
    }
    Elf32_Phdr header;
    memcpy(&header, entry, sizeof header);
    return (segment){le32toh(header.p_type), le32toh(header.p_offset), le32toh(header.p_filesz),
                     le32toh(header.p_paddr), le32toh(header.p_memsz)};
}

/// Notes are a name's and a descriptor's size, a type, and then both, each padded to four bytes.
static bool notes_have_pvh_entry(const unsigned char *notes, size_t length) {
    size_t offset = 0;
    while (length - offset >= sizeof(Elf32_Nhdr)) {
        uint64_t name_size = little32(notes + offset), descriptor_size = little32(notes + offset + 4);
        uint32_t type = little32(notes + offset + 8);
        offset += sizeof(Elf32_Nhdr);
        uint64_t padded = ((name_size + 3) & ~3ULL) + ((descriptor_size + 3) & ~3ULL);
        if (padded > length - offset)
            return false;
        if (type == NOTE_OF_PVH_ENTRY && name_size == 4 && memcmp(notes + offset, "Xen", 4) == 0)
            return true;
        offset += padded;
    }
    return false;
}

static bool segment_has_pvh_entry(int file, segment segment) {
    unsigned char *notes = malloc(segment.file_size);
    bool found = notes != NULL && host_read_at(file, notes, segment.file_size, (off_t)segment.offset) == 0 &&
                 notes_have_pvh_entry(notes, segment.file_size);
    free(notes);
    return found;
}

static int by_address(const void *first, const void *second) {
    uint64_t a = ((const segment *)first)->address, b = ((const segment *)second)->address;
    return (a > b) - (a < b);
}

/// Whether QEMU can load them: what it reads is there, and no two are in one place. Says where they are.
static bool are_loadable(segment *segments, size_t count, uint64_t file_size, linux_elf_kernel *kernel) {
    qsort(segments, count, sizeof *segments, by_address);
    for (size_t i = 0; i < count; i++) {
        segment each = segments[i];
        uint64_t end;
        if (each.offset > file_size || each.file_size > file_size - each.offset || each.file_size > each.size ||
            __builtin_add_overflow(each.address, each.size, &end) || each.address < kernel->end)
            return false;
        if (i == 0)
            kernel->start = each.address;
        kernel->end = end;
        // None is larger than the whole, from which no sum is.
        kernel->loaded_size += each.size;
    }
    return true;
}

/// What the table of program headers says; it has `count` entries.
static linux_elf_kernel_kind look_at_segments(int file, uint64_t file_size, const unsigned char *table, size_t count,
                                              bool is_64_bit, linux_elf_kernel *kernel) {
    segment *loaded = calloc(count, sizeof *loaded);
    if (loaded == NULL)
        return LINUX_ELF_KERNEL_DAMAGED;
    size_t loaded_count = 0;
    uint64_t notes_left = MOST_NOTES;
    bool has_entry = false;
    for (size_t i = 0; i < count; i++) {
        segment each = segment_of(table + i * (is_64_bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)), is_64_bit);
        if (each.type == PT_LOAD && each.size > 0)
            loaded[loaded_count++] = each;
        // One that is in part beyond the end of the file has none.
        if (each.type == PT_NOTE && !has_entry && each.offset <= file_size &&
            each.file_size <= file_size - each.offset && each.file_size > 0 && each.file_size <= notes_left) {
            has_entry = segment_has_pvh_entry(file, each);
            notes_left -= each.file_size;
        }
    }
    bool sound = are_loadable(loaded, loaded_count, file_size, kernel);
    free(loaded);
    return !sound      ? LINUX_ELF_KERNEL_DAMAGED
           : has_entry ? LINUX_ELF_KERNEL_WITH_PVH_NOTE
                       : LINUX_ELF_KERNEL_WITHOUT_PVH_NOTE;
}

linux_elf_kernel linux_elf_kernel_of_file(int file, uint64_t size) {
    linux_elf_kernel kernel = {.kind = LINUX_ELF_KERNEL_NONE};
    unsigned char head[sizeof(Elf64_Ehdr)];
    if (size < sizeof head || host_read_at(file, head, sizeof head, 0) != 0 || memcmp(head, ELFMAG, SELFMAG) != 0)
        return kernel;
    Elf32_Ehdr header32;
    Elf64_Ehdr header64;
    memcpy(&header32, head, sizeof header32);
    memcpy(&header64, head, sizeof header64);
    bool is_64_bit = head[EI_CLASS] == ELFCLASS64;
    uint16_t machine = le16toh(header32.e_machine);
    kernel.kind = LINUX_ELF_KERNEL_OF_OTHER_PROCESSOR;
    if (head[EI_DATA] != ELFDATA2LSB || (machine != EM_X86_64 && machine != EM_386))
        return kernel;
    kernel.is_x86_64 = is_64_bit && machine == EM_X86_64;
    uint64_t offset = is_64_bit ? le64toh(header64.e_phoff) : le32toh(header32.e_phoff);
    size_t count = le16toh(is_64_bit ? header64.e_phnum : header32.e_phnum);
    size_t entry_size = le16toh(is_64_bit ? header64.e_phentsize : header32.e_phentsize);
    size_t expected_size = is_64_bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    kernel.kind = LINUX_ELF_KERNEL_WITHOUT_PVH_NOTE;
    if (count == 0)
        return kernel;
    kernel.kind = LINUX_ELF_KERNEL_DAMAGED;
    // QEMU goes by its own size of an entry.
    size_t length = count * expected_size;
    if (entry_size != expected_size || offset > size || length > size - offset)
        return kernel;
    unsigned char *table = malloc(length);
    if (table != NULL && host_read_at(file, table, length, (off_t)offset) == 0)
        kernel.kind = look_at_segments(file, size, table, count, is_64_bit, &kernel);
    free(table);
    return kernel;
}
