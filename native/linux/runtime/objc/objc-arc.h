// SPDX-License-Identifier: Apache-2.0
// What clang's code under ARC calls, for languages whose compilers are not clang: <https://clang.llvm.org/docs/
// AutomaticReferenceCounting.html#runtime-support> says what each does. A program in Objective-C has its own.
#ifndef APPLEVZ_OBJC_ARC_H
#define APPLEVZ_OBJC_ARC_H

#include <objc/objc.h>

#ifdef __cplusplus
extern "C" {
#endif

OBJC_VISIBLE id objc_retain(id object);
OBJC_VISIBLE void objc_release(id object);
OBJC_VISIBLE id objc_autorelease(id object);
OBJC_VISIBLE id objc_retainAutorelease(id object);
OBJC_VISIBLE id objc_autoreleaseReturnValue(id object);
OBJC_VISIBLE id objc_retainAutoreleaseReturnValue(id object);
OBJC_VISIBLE id objc_retainAutoreleasedReturnValue(id object);
OBJC_VISIBLE void *objc_autoreleasePoolPush(void);
OBJC_VISIBLE void objc_autoreleasePoolPop(void *pool);

#ifdef __cplusplus
}
#endif

#endif
