// SPDX-License-Identifier: Apache-2.0
#ifndef LINUX_KERNEL_PARAMETERS_H
#define LINUX_KERNEL_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A Linux kernel's command line as the kernel takes it apart: next_arg() of its lib/cmdline.c, byte for byte. White
// space is what the kernel's isspace() says, of which one is the byte 0xa0, wherever in a UTF-8 character it stands.

typedef struct {
    size_t start, end; // of the word in the line, with its quotes
    const char *name;  // without them; not terminated, nor is the value
    size_t name_length;
    const char *value; // NULL where the word has none
    size_t value_length;
    bool is_open; // a quote in it has no end, so that all that is written behind it would be part of it
} linux_kernel_parameter;

/// The next word of the line from *position on, which becomes where it ends. false where there is none left. A NUL is
/// not looked for: the line ends with its length.
bool linux_next_kernel_parameter(const char *line, size_t length, size_t *position, linux_kernel_parameter *parameter);

/// Whether the kernel's isspace() says so.
bool linux_is_kernel_space(char byte);

/// Whether it is the word behind which all is the init program's. The kernel looks at it without its quotes.
bool linux_ends_kernel_parameters(const linux_kernel_parameter *parameter);

/// Whether two names are one parameter's: the kernel takes a dash for an underscore.
bool linux_is_kernel_parameter_name(const char *name, size_t length, const char *wanted, size_t wanted_length);

/// A number as the kernel's kstrtouint() reads it, in the base that its beginning says. false where it would refuse it.
bool linux_kernel_parameter_number(const char *text, size_t length, uint32_t *number);

#endif
