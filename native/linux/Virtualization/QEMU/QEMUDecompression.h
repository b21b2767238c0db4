// SPDX-License-Identifier: Apache-2.0
#ifndef QEMU_DECOMPRESSION_H
#define QEMU_DECOMPRESSION_H

#include <stdbool.h>
#include <stddef.h>

// The formats that kernels are compressed in by distributions: gzip, xz, zstd, and lz4's legacy one. Their libraries are
// loaded when one is needed, and nothing is built against them; a host without one cannot expand that format.

/// Whether the bytes are one of those formats, and expand to exactly that many. Writes nothing beyond them, whatever the
/// bytes are.
bool qemu_decompress(const void *bytes, size_t length, void *output, size_t output_length);

#endif
