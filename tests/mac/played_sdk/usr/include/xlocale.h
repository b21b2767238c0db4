// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <locale.h>
#include <stddef.h>

double strtod_l(const char *text, char **end, locale_t locale);
