// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_PROGRAM_FILE_H
#define HOST_PROGRAM_FILE_H

#include <limits.h>
#include <stdbool.h>

/// Whether the file is a program that the kernel runs by itself, in ELF; a script is none, nor is what cannot be read.
/// Its interpreter, which loads its libraries, is written to `interpreter`; it is empty for one that needs none.
bool host_program_is_native(const char *path, char interpreter[PATH_MAX]);

/// The latest release of the C library that the program itself names, as glibc numbers its own (2.38); zeros where it
/// names none, and where the file is no program in ELF. What its libraries take is not looked at.
typedef struct {
    unsigned int major, minor;
} host_glibc;

host_glibc host_program_glibc(const char *path);

/// Whether this host's C library is at least of that release.
bool host_has_glibc(host_glibc wanted);

#endif
