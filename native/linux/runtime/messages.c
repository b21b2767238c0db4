// SPDX-License-Identifier: Apache-2.0
// Message sending. clang asks gnustep-1.9's runtime for a slot and calls the method in it; libobjc answers with the
// method alone. The slot is read by the very next instructions of the same thread, so one slot a thread is enough.
#include "runtime.h"

struct slot {
    id owner;
    Class cached_for;
    const char *types;
    int version;
    IMP method;
};

static _Thread_local struct slot current_slot;

__attribute__((visibility("hidden"))) struct slot *objc_msg_lookup_sender(id *receiver, SEL selector, id sender) {
    (void)sender;
    struct slot *slot = &current_slot;
    // A method that is not there yet may be resolved by code that sends messages itself: fill the slot after the
    // lookup.
    IMP method = objc_msg_lookup(*receiver, selector);
    slot->method = method;
    return slot;
}

__attribute__((visibility("hidden"))) struct slot *objc_slot_lookup_super(struct objc_super *super, SEL selector) {
    IMP method = objc_msg_lookup_super(super, selector);
    struct slot *slot = &current_slot;
    slot->method = method;
    return slot;
}

Class object_getClass(id object) {
    return object ? object->class_pointer : Nil;
}
