// SPDX-License-Identifier: Apache-2.0
// GNUstep's file handles, as they end, take what they watch out of the run loop of the thread that they end on, and
// make one for it where it has none: with a pipe, and with an exception that nobody expects there, and that ends the
// process, where no descriptors are left. A thread without a run loop watches nothing.
#include "runtime.h"

#pragma GCC visibility push(hidden)

static struct {
    const char *selector;
    IMP original;
} ending[] = {{"ignoreReadDescriptor", NULL}, {"ignoreWriteDescriptor", NULL}};
enum { IGNORE_READING, IGNORE_WRITING };

static Class thread_class;
static SEL current_thread_selector;
static Ivar run_loop;

static bool thread_has_run_loop(void) {
    id thread = METHOD(id, objc_msg_lookup((id)thread_class, current_thread_selector))((id)thread_class,
                                                                                       current_thread_selector);
    return object_getIvar(thread, run_loop) != nil;
}

static void ignore_reading(id self, SEL selector) {
    if (thread_has_run_loop()) {
        METHOD(void, ending[IGNORE_READING].original)(self, selector);
    }
}

static void ignore_writing(id self, SEL selector) {
    if (thread_has_run_loop()) {
        METHOD(void, ending[IGNORE_WRITING].original)(self, selector);
    }
}

void runtime_start_file_handles(void) {
    Class file_handle_class = objc_lookUpClass("GSFileHandle");
    thread_class = objc_getRequiredClass("NSThread");
    current_thread_selector = sel_registerName("currentThread");
    run_loop = class_getInstanceVariable(thread_class, "_runLoopInfo");
    if (!file_handle_class || !run_loop) {
        return;
    }
    for (int i = IGNORE_READING; i <= IGNORE_WRITING; i++) {
        Method method = class_getInstanceMethod(file_handle_class, sel_registerName(ending[i].selector));
        if (method) {
            ending[i].original = method_getImplementation(method);
            method_setImplementation(method, i == IGNORE_READING ? IMPLEMENTATION(ignore_reading)
                                                                 : IMPLEMENTATION(ignore_writing));
        }
    }
}

#pragma GCC visibility pop
