// SPDX-License-Identifier: Apache-2.0
#ifndef LINUX_ELF_KERNEL_H
#define LINUX_ELF_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

// An ELF file that QEMU is to load as a kernel: as QEMU takes it, by its program headers alone.

typedef enum {
    LINUX_ELF_KERNEL_NONE,
    LINUX_ELF_KERNEL_OF_OTHER_PROCESSOR,
    /// Its parts lie beyond the file's end, beyond what there are addresses for, or on each other.
    LINUX_ELF_KERNEL_DAMAGED,
    LINUX_ELF_KERNEL_WITHOUT_PVH_NOTE,
    LINUX_ELF_KERNEL_WITH_PVH_NOTE,
} linux_elf_kernel_kind;

typedef struct {
    linux_elf_kernel_kind kind;
    bool is_x86_64;
    uint64_t loaded_size; // what its parts take of the memory together
    uint64_t start, end;  // the addresses between which they are
} linux_elf_kernel;

/// Looks at the file, of that size; its offset is neither used nor changed. Reads a few MiB at most, whatever is in it.
linux_elf_kernel linux_elf_kernel_of_file(int file, uint64_t size);

#endif
