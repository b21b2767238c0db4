// SPDX-License-Identifier: Apache-2.0
#include "HostProgramFile.h"
#include "support/HostFileTransfer.h"
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { MOST_SEGMENTS = 256 };

/// The text of the segment that names the interpreter, with the zero at its end.
static bool read_interpreter(int file, const Elf64_Phdr *segment, char interpreter[PATH_MAX]) {
    return segment->p_filesz > 0 && segment->p_filesz <= PATH_MAX &&
           host_read_at(file, interpreter, segment->p_filesz, (off_t)segment->p_offset) == 0 &&
           interpreter[segment->p_filesz - 1] == '\0';
}

static bool read_program(int file, char interpreter[PATH_MAX]) {
    Elf64_Ehdr header;
    if (host_read_at(file, &header, sizeof header, 0) != 0 || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr) ||
        header.e_phnum > MOST_SEGMENTS || header.e_phoff > LONG_MAX)
        return false;
    for (unsigned int i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        if (host_read_at(file, &segment, sizeof segment, (off_t)(header.e_phoff + i * sizeof segment)) != 0 ||
            segment.p_offset > LONG_MAX)
            return false;
        if (segment.p_type == PT_INTERP)
            return read_interpreter(file, &segment, interpreter);
    }
    return true;
}

bool host_program_is_native(const char *path, char interpreter[PATH_MAX]) {
    interpreter[0] = '\0';
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (file < 0)
        return false;
    bool native = read_program(file, interpreter);
    close(file);
    return native;
}
