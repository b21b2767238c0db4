// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/stdio.h>
#include <sys/types.h>

int rename(const char *from, const char *to);
