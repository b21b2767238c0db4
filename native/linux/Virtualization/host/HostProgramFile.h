// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_PROGRAM_FILE_H
#define HOST_PROGRAM_FILE_H

#include <limits.h>
#include <stdbool.h>

/// Whether the file is a program that the kernel runs by itself, in ELF; a script is none, nor is what cannot be read.
/// Its interpreter, which loads its libraries, is written to `interpreter`; it is empty for one that needs none.
bool host_program_is_native(const char *path, char interpreter[PATH_MAX]);

#endif
