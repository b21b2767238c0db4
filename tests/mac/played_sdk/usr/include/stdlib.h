// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stddef.h>

_Noreturn void abort(void);
void *calloc(size_t count, size_t size);
void free(void *memory);
void *malloc(size_t size);
long strtol(const char *text, char **end, int base);
unsigned long strtoul(const char *text, char **end, int base);
unsigned long long strtoull(const char *text, char **end, int base);
