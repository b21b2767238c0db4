// SPDX-License-Identifier: Apache-2.0
// The end of a process that misuses the runtime. Every file of the layer may need it, so it stands on none of them.
#include "runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#pragma GCC visibility push(hidden)

_Noreturn void runtime_fatal(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("objc: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

#pragma GCC visibility pop
