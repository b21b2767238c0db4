// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <sys/sysctl.h>

// Weak, so that a test that plays a Mac has another in its place.
__attribute__((weak)) int sysctlbyname(const char *name, void *value, size_t *size, void *new_value, size_t new_size) {
    (void)name, (void)value, (void)size, (void)new_value, (void)new_size;
    errno = ENOENT;
    return -1;
}
