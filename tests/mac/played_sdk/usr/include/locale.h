// SPDX-License-Identifier: Apache-2.0
#pragma once
#define LC_ALL_MASK 0x3f
#define LC_NUMERIC_MASK (1 << 4)

typedef struct _xlocale *locale_t;

locale_t newlocale(int mask, const char *name, locale_t base);
