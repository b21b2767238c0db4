// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#define F_OK 0
#define X_OK 1
#define W_OK 2
#define R_OK 4

int close(int descriptor);
int faccessat(int folder, const char *path, int mode, int flags);
int fsync(int descriptor);
uid_t geteuid(void);
pid_t getpid(void);
int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
ssize_t pread(int descriptor, void *bytes, size_t size, off_t offset);
ssize_t read(int descriptor, void *bytes, size_t size);
ssize_t write(int descriptor, const void *bytes, size_t size);
int pipe(int descriptors[2]);
int unlink(const char *path);
int unlinkat(int folder, const char *path, int flags);
