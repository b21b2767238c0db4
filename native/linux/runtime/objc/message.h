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

#ifdef __cplusplus
}
#endif

#endif
