// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

struct dirent {
    uint64_t d_ino;
    uint64_t d_seekoff;
    uint16_t d_reclen;
    uint16_t d_namlen;
    uint8_t d_type;
    char d_name[1024];
};
typedef struct _dir DIR;

int closedir(DIR *folder);
DIR *fdopendir(int descriptor);
struct dirent *readdir(DIR *folder);
