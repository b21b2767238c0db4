// SPDX-License-Identifier: Apache-2.0
// Marks that Apple's headers carry on declarations. The classes here are compiled into the program that uses them, so
// nothing is exported, and every declared symbol is available on every host.
#import <Foundation/Foundation.h>
#import <Virtualization/VZFoundationCompatibility.h>

#if defined(__cplusplus)
#define VZ_EXTERN extern "C"
#else
#define VZ_EXTERN extern
#endif
#define VZ_EXPORT
