// SPDX-License-Identifier: Apache-2.0
// Starts the layer (initializers.c says when), and keeps GNUstep's start from showing in the host process:
// +[NSObject initialize] ignores SIGPIPE where it was default. It happens once a process; it is made to happen here,
// where hardly any other thread can be in the way, and is taken back. What else would show is kept from happening
// (held_classes.c).
#include "runtime.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC visibility push(hidden)

// What the kernel's rt_sigaction takes.
static struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
} broken_pipe;
static bool saved_signal;

#if defined(__x86_64__)
static void nothing(void) {}

/// Foundation's own initializers run before those of a library that needs it, and some versions' begin with NSObject.
/// What is called while this library is relocated runs before all of them; it may call nobody, for others may not be
/// relocated yet.
__attribute__((used, no_sanitize("address", "thread", "undefined"), disable_sanitizer_instrumentation,
               no_stack_protector)) static void (*look_at_signal(void))(void) {
    register unsigned long size __asm__("r10") = sizeof broken_pipe.mask;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"((long)SYS_rt_sigaction), "D"((long)SIGPIPE), "S"(0L), "d"(&broken_pipe), "r"(size)
                     : "rcx", "r11", "memory");
    saved_signal = result == 0;
    return nothing;
}

__attribute__((ifunc("look_at_signal"), visibility("hidden"))) void be_relocated(void);
#else
static void be_relocated(void) {
    saved_signal = syscall(SYS_rt_sigaction, SIGPIPE, NULL, &broken_pipe, sizeof broken_pipe.mask) == 0;
}
#endif

static void initialize_foundation(void) {
    be_relocated();
    // The first pool also makes GNUstep's key for the current thread, which two threads at once would make twice.
    void *pool = objc_autoreleasePoolPush();
    id object_class = (id)objc_getRequiredClass("NSObject");
    SEL class_selector = sel_registerName("class");
    METHOD(Class, objc_msg_lookup(object_class, class_selector))(object_class, class_selector);
    objc_autoreleasePoolPop(pool);
    if (saved_signal) {
        syscall(SYS_rt_sigaction, SIGPIPE, &broken_pipe, NULL, sizeof broken_pipe.mask);
    }
}

void runtime_start(int count, char **arguments, char **environment) {
    runtime_register_selectors();
    runtime_start_thread_pools();
    runtime_hold_classes();
    runtime_give_process_words(count, arguments, environment);
    initialize_foundation();
    runtime_start_file_handles();
    runtime_start_identifiers();
    runtime_start_exceptions();
    runtime_start_protocols();
    runtime_register_block_classes();
    runtime_start_weak_references();
}

#pragma GCC visibility pop
