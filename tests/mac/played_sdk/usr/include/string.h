// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stddef.h>

void *memchr(const void *bytes, int wanted, size_t size);
int memcmp(const void *first, const void *second, size_t size);
void *memcpy(void *destination, const void *source, size_t size);
void *memset(void *bytes, int value, size_t size);
char *strchr(const char *text, int wanted);
int strcmp(const char *first, const char *second);
char *strerror(int number);
size_t strlen(const char *text);
int strncmp(const char *first, const char *second, size_t size);
char *strrchr(const char *text, int wanted);
size_t strspn(const char *text, const char *wanted);
