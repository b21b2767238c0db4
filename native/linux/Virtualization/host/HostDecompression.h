// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_DECOMPRESSION_H
#define HOST_DECOMPRESSION_H

#include <stdbool.h>
#include <stddef.h>

// The formats that kernels are compressed in by distributions: gzip, xz, zstd, and lz4's legacy one. Their libraries
// are loaded when one is needed, and nothing is built against them; a host without one cannot expand that format.

enum { HOST_DECOMPRESSION_MAGIC_LENGTH = 6 };

/// Whether bytes that begin so are said to be in one of those formats.
bool host_can_decompress(const void *bytes, size_t length);

/// Whether the bytes are one of those formats, and expand to exactly that many. Writes nothing beyond them, whatever
/// the bytes are.
bool host_decompress(const void *bytes, size_t length, void *output, size_t output_length);

#endif
