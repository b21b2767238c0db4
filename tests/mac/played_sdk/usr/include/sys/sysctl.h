// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

int sysctlbyname(const char *name, void *old_value, size_t *old_size, void *new_value, size_t new_size);
