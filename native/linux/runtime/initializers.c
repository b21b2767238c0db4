// SPDX-License-Identifier: Apache-2.0
// The start, before any initializer of the library or program that the layer is part of, and with it the loading of its
// classes (modules.c).
//
// Which of the initializers load classes nothing says but what they do. clang writes them, and all alike: the address
// of the module as the argument, and a call of __objc_exec_class. That function is this library's own, and hidden, so
// that the call is direct and told from any other. An initializer that looks different is called in its turn, as
// before.
#include "runtime.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#pragma GCC visibility push(hidden)

typedef void (*initializer)(int, char **, char **);

// modules.c
void __objc_exec_class(struct gnu_module *module);

#if defined(__x86_64__)

static bool take(const uint8_t **code, const char *bytes, size_t count) {
    if (memcmp(*code, bytes, count) != 0) {
        return false;
    }
    *code += count;
    return true;
}

#define TAKE(code, bytes) take(&(code), (bytes), sizeof(bytes) - 1)

static bool calls_with_argument(const uint8_t *code) {
    if (TAKE(code, "\x48\x8d\x3d") || TAKE(code, "\xbf")) { // lea rdi, [rip + …] | mov edi, …
        code += sizeof(int32_t);
    } else if (TAKE(code, "\x48\xbf")) { // mov rdi, …
        code += sizeof(int64_t);
    } else {
        return false;
    }
    (void)(TAKE(code, "\x31\xc0") || TAKE(code, "\xb0\x00")); // xor eax, eax | mov al, 0
    if (!TAKE(code, "\xe8") && !TAKE(code, "\xe9")) {         // call | jmp
        return false;
    }
    int32_t distance;
    memcpy(&distance, code, sizeof distance);
    uintptr_t target = (uintptr_t)code + sizeof distance + (uintptr_t)(intptr_t)distance;
    return target == (uintptr_t)__objc_exec_class;
}

static bool loads_classes(const uint8_t *code) {
    // A frame, or a sanitizer's call, may come first.
    for (int offset = 0; offset < 40; offset++) {
        if (calls_with_argument(code + offset)) {
            return true;
        }
    }
    return false;
}

#elif defined(__aarch64__)

static bool loads_classes(const uint8_t *code) {
    // A hint for branch protection, the saving of the return address, one or two instructions for the argument: then
    // the call.
    uint32_t instruction;
    bool has_argument = false;
    for (int i = 0; i < 6; i++, code += sizeof instruction) {
        memcpy(&instruction, code, sizeof instruction);
        if ((instruction & 0x9f00001f) == 0x90000000) { // adrp x0, …
            has_argument = true;
        } else if ((instruction & 0x7c000000) == 0x14000000) { // b | bl
            intptr_t distance = (intptr_t)((uint64_t)instruction << 38) >> 36;
            return has_argument && (uintptr_t)code + (uintptr_t)distance == (uintptr_t)__objc_exec_class;
        } else if (instruction == 0xd65f03c0) { // ret
            return false;
        }
    }
    return false;
}

#else

static bool loads_classes(const uint8_t *code) {
    (void)code;
    return false;
}

#endif

struct initializers {
    const initializer *first;
    size_t count;
};

/// Finds those of the library or program that this function is part of.
static int find_initializers(struct dl_phdr_info *information, size_t size, void *found) {
    (void)size;
    uintptr_t own = (uintptr_t)loads_classes;
    bool is_own = false;
    const ElfW(Dyn) *dynamic = NULL;
    for (int i = 0; i < information->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &information->dlpi_phdr[i];
        uintptr_t begin = information->dlpi_addr + header->p_vaddr;
        is_own |= header->p_type == PT_LOAD && own - begin < header->p_memsz;
        if (header->p_type == PT_DYNAMIC) {
            dynamic = (const void *)begin;
        }
    }
    struct initializers *initializers = found;
    for (; is_own && dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_INIT_ARRAY) {
            initializers->first = (const void *)(information->dlpi_addr + dynamic->d_un.d_ptr);
        } else if (dynamic->d_tag == DT_INIT_ARRAYSZ) {
            initializers->count = dynamic->d_un.d_val / sizeof *initializers->first;
        }
    }
    return is_own;
}

// The C library gives every initializer what main has.
static void start(int count, char **arguments, char **environment) {
    runtime_start(count, arguments, environment);
    struct initializers initializers = {0};
    dl_iterate_phdr(find_initializers, &initializers);
    for (size_t i = 0; initializers.first && i < initializers.count; i++) {
        initializer candidate = initializers.first[i];
        if (candidate && loads_classes((const uint8_t *)(uintptr_t)candidate)) {
            candidate(count, arguments, environment);
        }
    }
}

// Before those of the lowest priority that a program may name, which is 101; the sanitizers' have 0 and 1.
__attribute__((section(".init_array.00002"), used)) static const initializer start_initializer = start;

#pragma GCC visibility pop
