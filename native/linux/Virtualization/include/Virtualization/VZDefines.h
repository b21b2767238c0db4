// SPDX-License-Identifier: Apache-2.0
// Marks that Apple's headers carry on declarations. Every declared symbol is available on every host. Classes have no
// visibility of their own: a class is found by its name, and the link decides which names it shows.
#import <Foundation/Foundation.h>

#if defined(APPLEVZ_FRAMEWORKS)
#define VZ_VISIBLE __attribute__((visibility("default")))
#else
#define VZ_VISIBLE
#endif

#if defined(__cplusplus)
#define VZ_EXTERN extern "C" VZ_VISIBLE
#else
#define VZ_EXTERN extern VZ_VISIBLE
#endif
#define VZ_EXPORT
