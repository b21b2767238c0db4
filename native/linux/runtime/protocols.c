// SPDX-License-Identifier: Apache-2.0
// Protocols as objects. libobjc's class Protocol does not derive from NSObject and has no ownership methods, which ARC
// calls on every @protocol() expression. A protocol lives for ever, so they have nothing to count.
#include "runtime.h"

#pragma GCC visibility push(hidden)

static id protocol_itself(id self, SEL selector) {
    (void)selector;
    return self;
}

static void protocol_release(id self, SEL selector) {
    (void)self, (void)selector;
}

static unsigned long protocol_retain_count(id self, SEL selector) {
    (void)self, (void)selector;
    return 1;
}

// clang hands over the protocols of @protocol() expressions as those that a category of this class adopts. libobjc
// makes objects of a category's protocols when it finds the class, so there is to be one.
static void register_protocol_holder(void) {
    static const char name[] = "__ObjC_Protocol_Holder_Ugly_Hack";
    if (!objc_lookUpClass(name)) {
        objc_registerClassPair(objc_allocateClassPair(objc_getRequiredClass("NSObject"), name, 0));
    }
}

void runtime_start_protocols(void) {
    register_protocol_holder();
    // Where there is such a method already, GNUstep's or another copy's, it stays.
    Class class = objc_getRequiredClass("Protocol");
    class_addMethod(class, sel_registerName("retain"), IMPLEMENTATION(protocol_itself), "@16@0:8");
    class_addMethod(class, sel_registerName("autorelease"), IMPLEMENTATION(protocol_itself), "@16@0:8");
    class_addMethod(class, sel_registerName("release"), IMPLEMENTATION(protocol_release), "v16@0:8");
    class_addMethod(class, sel_registerName("retainCount"), IMPLEMENTATION(protocol_retain_count), "Q16@0:8");
}

#pragma GCC visibility pop
