// SPDX-License-Identifier: Apache-2.0
// <objc/message.h> for GCC's libobjc: how a message finds its method.
#ifndef APPLEVZ_OBJC_MESSAGE_H
#define APPLEVZ_OBJC_MESSAGE_H

#include <objc/objc.h>

struct objc_super {
#ifdef __OBJC__
    __unsafe_unretained id self;
#else
    id self;
#endif
    Class super_class;
};

#ifdef __cplusplus
extern "C" {
#endif

IMP objc_msg_lookup(id receiver, SEL selector);
IMP objc_msg_lookup_super(struct objc_super *super, SEL selector);

// Apple's: send the message with all that follows. To be called as a function of the method's type, with the receiver
// (for a message to super: a struct objc_super *) and the selector before the method's own arguments. Those of
// ..._stret are for methods that return in memory that the caller names, and of ..._fpret and ..._fp2ret for those that
// return a long double, or two. objc_msgSendSuper2 is given the class that the method is of, and searches the one above
// it.
#if defined(OBJC_OLD_DISPATCH_PROTOTYPES) && OBJC_OLD_DISPATCH_PROTOTYPES
#define OBJC_DISPATCHER(result, name, ...) OBJC_VISIBLE result name(__VA_ARGS__)
#else
#define OBJC_DISPATCHER(result, name, ...) OBJC_VISIBLE void name(void)
#endif
// The compiler knows some of them by name, with another type.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wincompatible-library-redeclaration"
OBJC_DISPATCHER(id, objc_msgSend, id self, SEL selector, ...);
OBJC_DISPATCHER(id, objc_msgSendSuper, struct objc_super *super, SEL selector, ...);
OBJC_DISPATCHER(id, objc_msgSendSuper2, struct objc_super *super, SEL selector, ...);
#if defined(__x86_64__)
OBJC_DISPATCHER(void, objc_msgSend_stret, void *result, id self, SEL selector, ...);
OBJC_DISPATCHER(void, objc_msgSendSuper_stret, void *result, struct objc_super *super, SEL selector, ...);
OBJC_DISPATCHER(void, objc_msgSendSuper2_stret, void *result, struct objc_super *super, SEL selector, ...);
OBJC_DISPATCHER(long double, objc_msgSend_fpret, id self, SEL selector, ...);
OBJC_DISPATCHER(void, objc_msgSend_fp2ret, id self, SEL selector, ...);
#endif
#pragma clang diagnostic pop
#undef OBJC_DISPATCHER

#ifdef __cplusplus
}
#endif

#endif
