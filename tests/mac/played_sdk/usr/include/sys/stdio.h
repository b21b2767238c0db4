// SPDX-License-Identifier: Apache-2.0
#pragma once
#define RENAME_EXCL 0x00000004

int renameat(int from_folder, const char *from, int to_folder, const char *to);
int renameatx_np(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags);
