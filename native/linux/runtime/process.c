// SPDX-License-Identifier: Apache-2.0
// Starts the layer, before any other initializer of the library that it is part of, and keeps GNUstep's start from
// showing in the host process: +[NSObject initialize] ignores SIGPIPE where it was default, and the first look at the
// user's defaults sets LC_CTYPE from the environment. Each happens once a process; they are made to happen here, where
// hardly any other thread can be in the way, and are taken back. Later, at the first use, would make the import faster by a
// tenth: but another thread would see the other locale meanwhile, and a child that is forked then would wait for GNUstep's
// locks for ever.
#include "runtime.h"

#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(hidden)

static void initialize_foundation(void) {
    struct sigaction broken_pipe;
    bool saved_signal = sigaction(SIGPIPE, NULL, &broken_pipe) == 0;
    const char *current_locale = setlocale(LC_CTYPE, NULL);
    char *saved_locale = current_locale ? strdup(current_locale) : NULL;

    // The first pool also makes GNUstep's key for the current thread, which two threads at once would make twice.
    void *pool = objc_autoreleasePoolPush();
    id object_class = (id)objc_getRequiredClass("NSObject");
    SEL class_selector = sel_registerName("class");
    METHOD(Class, objc_msg_lookup(object_class, class_selector))(object_class, class_selector);
    id defaults_class = (id)objc_getRequiredClass("NSUserDefaults");
    SEL defaults_selector = sel_registerName("standardUserDefaults");
    METHOD(id, objc_msg_lookup(defaults_class, defaults_selector))(defaults_class, defaults_selector);
    objc_autoreleasePoolPop(pool);

    if (saved_signal) {
        sigaction(SIGPIPE, &broken_pipe, NULL);
    }
    if (saved_locale) {
        setlocale(LC_CTYPE, saved_locale);
        free(saved_locale);
    }
}

__attribute__((constructor(101))) static void start(void) {
    runtime_register_selectors();
    initialize_foundation();
    runtime_start_exceptions();
    runtime_start_protocols();
    runtime_register_block_classes();
    runtime_start_weak_references();
}

_Noreturn void runtime_fatal(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("objc: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

#pragma GCC visibility pop
