// SPDX-License-Identifier: Apache-2.0
#include "LinuxKernelParameters.h"
#include <string.h>

bool linux_is_kernel_space(char byte) {
    return (byte >= '\t' && byte <= '\r') || byte == ' ' || (unsigned char)byte == 0xa0;
}

bool linux_next_kernel_parameter(const char *line, size_t length, size_t *position, linux_kernel_parameter *parameter) {
    size_t start = *position;
    while (start < length && linux_is_kernel_space(line[start]))
        start++;
    *position = start;
    if (start >= length)
        return false;
    bool quoted = line[start] == '"';
    bool in_quote = quoted;
    const char *name = line + start + quoted;
    size_t left = length - start - quoted;
    // As in the kernel 0 stands for none: a name is not empty, and an equals sign in its place is part of it.
    size_t equals = 0, end = 0;
    for (; end < left && (in_quote || !linux_is_kernel_space(name[end])); end++) {
        if (name[end] == '=' && equals == 0)
            equals = end;
        if (name[end] == '"')
            in_quote = !in_quote;
    }
    *position = start + quoted + end;
    *parameter = (linux_kernel_parameter){.start = start, .end = *position, .name = name, .is_open = in_quote};
    // A quote at the end is taken off once: with that in front of the value, or with that in front of the word.
    bool ends_with_quote = end > 0 && name[end - 1] == '"';
    size_t inner_end = quoted && ends_with_quote ? end - 1 : end;
    if (equals == 0) {
        parameter->name_length = inner_end;
        return true;
    }
    size_t value = equals + 1;
    if (value < end && name[value] == '"') {
        value++;
        inner_end = ends_with_quote ? end - 1 : end;
    }
    parameter->name_length = equals;
    parameter->value = name + value;
    parameter->value_length = inner_end > value ? inner_end - value : 0;
    return true;
}

bool linux_ends_kernel_parameters(const linux_kernel_parameter *parameter) {
    return parameter->value == NULL && parameter->name_length == 2 && memcmp(parameter->name, "--", 2) == 0;
}

static char with_underscore(char byte) {
    return byte == '-' ? '_' : byte;
}

bool linux_is_kernel_parameter_name(const char *name, size_t length, const char *wanted, size_t wanted_length) {
    if (length != wanted_length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (with_underscore(name[i]) != with_underscore(wanted[i]))
            return false;
    return true;
}

static unsigned digit(char byte) {
    if (byte >= '0' && byte <= '9')
        return (unsigned)(byte - '0');
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? (unsigned)(byte - 'a') + 10 : UINT32_MAX;
}

bool linux_kernel_parameter_number(const char *text, size_t length, uint32_t *number) {
    const char *end = text + length;
    if (text < end && *text == '+')
        text++;
    unsigned base = 10;
    if (text < end && *text == '0') {
        bool hexadecimal = end - text > 2 && (text[1] | 0x20) == 'x' && digit(text[2]) < 16;
        base = hexadecimal ? 16 : 8;
        text += hexadecimal ? 2 : 0;
    }
    uint64_t value = 0;
    const char *first = text;
    for (; text < end && digit(*text) < base; text++) {
        value = value * base + digit(*text);
        if (value > UINT32_MAX)
            return false;
    }
    // The kernel lets one line break pass behind it.
    if (text > first && text < end && *text == '\n')
        text++;
    if (text == first || text < end)
        return false;
    *number = (uint32_t)value;
    return true;
}
