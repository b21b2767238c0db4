// SPDX-License-Identifier: Apache-2.0
// Property setters. clang calls one of four; libobjc has one, and the getter that goes with it: an atomic getter and
// setter must take the same lock, so its own is used. objc_getProperty and the two for structs are libobjc's.
#include "runtime.h"

#pragma GCC visibility push(default)
void objc_setProperty(id self, SEL selector, ptrdiff_t offset, id value, BOOL atomic, BOOL copy);
void objc_setPropertyStruct(void *destination, const void *source, ptrdiff_t size, BOOL atomic, BOOL strong);
#pragma GCC visibility pop

#pragma GCC visibility push(hidden)

void objc_setProperty_atomic(id self, SEL selector, id value, ptrdiff_t offset) {
    objc_setProperty(self, selector, offset, value, YES, NO);
}

void objc_setProperty_atomic_copy(id self, SEL selector, id value, ptrdiff_t offset) {
    objc_setProperty(self, selector, offset, value, YES, YES);
}

void objc_setProperty_nonatomic(id self, SEL selector, id value, ptrdiff_t offset) {
    objc_setProperty(self, selector, offset, value, NO, NO);
}

void objc_setProperty_nonatomic_copy(id self, SEL selector, id value, ptrdiff_t offset) {
    objc_setProperty(self, selector, offset, value, NO, YES);
}

#pragma GCC visibility pop
