// SPDX-License-Identifier: Apache-2.0
// -[NSUUID init], for +[NSUUID UUID], by getrandom. GNUstep reads /dev/urandom, and gives nil where that is not there,
// as in a bare chroot; and it puts the version of RFC 4122 into the wrong byte, so that what it gives is of no version.
#include "runtime.h"

#include <errno.h>
#include <sys/random.h>

#pragma GCC visibility push(hidden)

static IMP original_init;

static id init(id self, SEL selector) {
    unsigned char bytes[16];
    // So few come whole or not at all; only a signal before the system's entropy is ready interrupts the call.
    while (getrandom(bytes, sizeof bytes, 0) < 0) {
        if (errno != EINTR) {
            return METHOD(id, original_init)(self, selector);
        }
    }
    bytes[6] = (bytes[6] & 0x0f) | 0x40; // version 4
    bytes[8] = (bytes[8] & 0x3f) | 0x80; // the variant of the RFC
    SEL with_bytes = sel_registerName("initWithUUIDBytes:");
    return ((id (*)(id, SEL, const unsigned char *))(void (*)(void))objc_msg_lookup(self, with_bytes))(self, with_bytes,
                                                                                                       bytes);
}

void runtime_start_identifiers(void) {
    Method method = class_getInstanceMethod(objc_getRequiredClass("NSUUID"), sel_registerName("init"));
    original_init = method_setImplementation(method, IMPLEMENTATION(init));
}

#pragma GCC visibility pop
