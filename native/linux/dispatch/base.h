// SPDX-License-Identifier: Apache-2.0
#ifndef DISPATCH_BASE_H
#define DISPATCH_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The library of frameworks shows these; one that has the files of this folder in it does not.
#if defined(APPLEVZ_FRAMEWORKS)
#define DISPATCH_VISIBLE __attribute__((visibility("default")))
#else
#define DISPATCH_VISIBLE
#endif

#ifdef __cplusplus
#define DISPATCH_EXPORT extern "C" DISPATCH_VISIBLE
#else
#define DISPATCH_EXPORT extern DISPATCH_VISIBLE
#endif

#define DISPATCH_ASSUME_NONNULL_BEGIN _Pragma("clang assume_nonnull begin")
#define DISPATCH_ASSUME_NONNULL_END _Pragma("clang assume_nonnull end")
#define DISPATCH_NOESCAPE __attribute__((__noescape__))
#define DISPATCH_NORETURN __attribute__((__noreturn__))
#define DISPATCH_NOTHROW __attribute__((__nothrow__))
#define DISPATCH_WARN_RESULT __attribute__((__warn_unused_result__))
#define DISPATCH_RETURNS_RETAINED __attribute__((__ns_returns_retained__))

DISPATCH_ASSUME_NONNULL_BEGIN

typedef void (^dispatch_block_t)(void);
typedef void (*dispatch_function_t)(void *_Nullable context);

DISPATCH_ASSUME_NONNULL_END

#endif
