// SPDX-License-Identifier: Apache-2.0
// <objc/objc.h> for GCC's libobjc. It stands in for GCC's own for three reasons: there YES is `(BOOL)1` without
// parentheses around it, which @YES does not take; nil is of type id, with which clang warns of `error:nil`; and GCC's
// headers lie beside a <stdatomic.h> that clang's then leads to.
#ifndef APPLEVZ_OBJC_OBJC_H
#define APPLEVZ_OBJC_OBJC_H
#define __objc_INCLUDE_GNU

#include <stddef.h>

// The library of frameworks shows what is the layer's own. A program, or a library that has the layer in it, does not,
// or the frameworks would find it there, before it was started.
#if defined(APPLEVZ_FRAMEWORKS) && !defined(APPLEVZ_FRAMEWORKS_PROGRAM)
#define OBJC_VISIBLE __attribute__((visibility("default")))
#define OBJC_OWN OBJC_VISIBLE
#else
#define OBJC_VISIBLE
#define OBJC_OWN __attribute__((visibility("hidden")))
#endif
#define OBJC_EXPORT extern

// The release of the runtime's interface, as GNUstep's headers ask for it.
#define __GNU_LIBOBJC__ 20110608

typedef unsigned char BOOL;
#define YES ((BOOL)1)
#define NO ((BOOL)0)

typedef const struct objc_selector *SEL;
typedef struct objc_class *Class;
typedef struct objc_object {
    Class class_pointer;
} *id;
typedef id (*IMP)(id, SEL, ...);

#define nil NULL
#define Nil NULL

#ifdef __OBJC__
@class Protocol;
#else
typedef struct objc_object Protocol;
#endif

#endif
