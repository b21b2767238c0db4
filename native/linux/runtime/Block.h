// SPDX-License-Identifier: Apache-2.0
// <Block.h>: explicit copies of blocks, for C and for code without ARC. Implemented in blocks.c.
#ifndef APPLEVZ_RUNTIME_BLOCK_H
#define APPLEVZ_RUNTIME_BLOCK_H

#ifdef __cplusplus
extern "C" {
#endif

// The two are exported, and still bound to the definition in the same library: GNUstep, which calls them for the
// blocks it is given, has functions of these names that take only its own compiler's blocks, and is to find these
// first.
#define BLOCK_EXPORT __attribute__((visibility("protected")))

// A heap copy of the block with one reference more, the caller's. NULL when memory is exhausted.
BLOCK_EXPORT void *_Block_copy(const void *block);
BLOCK_EXPORT void _Block_release(const void *block);

#ifdef __cplusplus
}
#endif

#define Block_copy(...) ((__typeof(__VA_ARGS__))_Block_copy((const void *)(__VA_ARGS__)))
#define Block_release(...) _Block_release((const void *)(__VA_ARGS__))

#endif
