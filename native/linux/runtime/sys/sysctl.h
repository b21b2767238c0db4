// SPDX-License-Identifier: Apache-2.0
// <sys/sysctl.h>, which glibc has no more: what Darwin's kernel tells by name.
#ifndef APPLEVZ_SYS_SYSCTL_H
#define APPLEVZ_SYS_SYSCTL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -1 with ENOENT for a name that the kernel does not know. That of Linux knows none of Darwin's. */
int sysctlbyname(const char *name, void *value, size_t *size, void *new_value, size_t new_size);

#ifdef __cplusplus
}
#endif

#endif
