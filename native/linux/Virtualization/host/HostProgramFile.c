// SPDX-License-Identifier: Apache-2.0
#include "HostProgramFile.h"
#include "support/HostFileTransfer.h"
#include <elf.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_SEGMENTS = 256, LARGEST_TEXTS = 16 << 20 };

/// The text of the segment that names the interpreter, with the zero at its end.
static bool read_interpreter(int file, const Elf64_Phdr *segment, char interpreter[PATH_MAX]) {
    return segment->p_filesz > 0 && segment->p_filesz <= PATH_MAX &&
           host_read_at(file, interpreter, segment->p_filesz, (off_t)segment->p_offset) == 0 &&
           interpreter[segment->p_filesz - 1] == '\0';
}

static bool read_header(int file, Elf64_Ehdr *header) {
    return host_read_at(file, header, sizeof *header, 0) == 0 && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
           header->e_ident[EI_CLASS] == ELFCLASS64;
}

static bool read_program(int file, char interpreter[PATH_MAX]) {
    Elf64_Ehdr header;
    if (!read_header(file, &header) || header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > MOST_SEGMENTS ||
        header.e_phoff > LONG_MAX)
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

/// The section at a place of the table.
static bool read_section(int file, const Elf64_Ehdr *header, unsigned int place, Elf64_Shdr *section) {
    return place < header->e_shnum && header->e_shentsize == sizeof *section && header->e_shoff <= LONG_MAX / 2 &&
           host_read_at(file, section, sizeof *section, (off_t)(header->e_shoff + place * sizeof *section)) == 0;
}

/// The texts of the dynamic symbols, with a zero at the end, which are the caller's to free; NULL where there are none.
static char *read_dynamic_texts(int file, size_t *length) {
    Elf64_Ehdr header;
    Elf64_Shdr section;
    if (!read_header(file, &header))
        return NULL;
    unsigned int place = 0;
    do
        if (!read_section(file, &header, place, &section))
            return NULL;
    while (section.sh_type != SHT_DYNSYM && ++place < header.e_shnum);
    if (section.sh_type != SHT_DYNSYM || !read_section(file, &header, section.sh_link, &section) ||
        section.sh_type != SHT_STRTAB || section.sh_size > LARGEST_TEXTS || section.sh_offset > LONG_MAX)
        return NULL;
    char *texts = calloc(1, section.sh_size + 1);
    if (texts != NULL && host_read_at(file, texts, section.sh_size, (off_t)section.sh_offset) != 0) {
        free(texts);
        return NULL;
    }
    *length = section.sh_size;
    return texts;
}

static bool is_later(host_glibc one, host_glibc other) {
    return one.major != other.major ? one.major > other.major : one.minor > other.minor;
}

host_glibc host_program_glibc(const char *path) {
    host_glibc latest = {0, 0};
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0)
        return latest;
    size_t length = 0;
    char *texts = read_dynamic_texts(file, &length);
    close(file);
    for (size_t i = 0; texts != NULL && i < length; i += strlen(texts + i) + 1) {
        host_glibc named;
        if (sscanf(texts + i, "GLIBC_%3u.%3u", &named.major, &named.minor) == 2 && is_later(named, latest))
            latest = named;
    }
    free(texts);
    return latest;
}

bool host_has_glibc(host_glibc wanted) {
    host_glibc own = {0, 0};
    sscanf(gnu_get_libc_version(), "%3u.%3u", &own.major, &own.minor);
    return !is_later(wanted, own);
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
