// SPDX-License-Identifier: Apache-2.0
// Every message that the library sends is looked up here, before libobjc's own look. Two topics stand on it:
//
// "fork": a child that was forked from a process with machines sends no message, and takes no lock of the library's. On
// a Mac the runtime ends it for the first message to a class; which classes have had theirs is not the same there, so
// here it is ended for any. Counting an error's references is let pass: its class has been asked for that.
//
// Exceptions: played_mac_raise has a message of the bridge's to one of the framework's classes raise instead. Which
// messages there are to be raised for played_mac_messages tells.
#import "messages.h"
#import "../../native/bridge/boundary/causes.h"
#import "../../native/bridge/boundary/forked_error.h"
#import "../../native/bridge/boundary/guard.h"
#import "../../native/bridge/waiting/wake_pipe.h"
#import <Block.h>
#import <dlfcn.h>
#import <execinfo.h>
#import <objc/runtime.h>
#import <pthread.h>
#import <stdatomic.h>
#import <stdio.h>
#import <stdlib.h>
#import <string.h>
#import <unistd.h>

// To retain is to send a message.
typedef __unsafe_unretained id unretained_id;
typedef __unsafe_unretained Class unretained_class;

#pragma mark Children

BOOL played_mac_is_forked_child;
static BOOL is_strict;

static void forked(void) {
    played_mac_is_forked_child = is_strict && applevz_machines_were_inherited();
}

__attribute__((constructor)) static void play_fork(void) {
    is_strict = played_mac_is(@"fork", @"strict");
    // Behind the bridge's own, so that this one is called later.
    pthread_atfork(NULL, NULL, forked);
}

/// The bridge's files are linked before all others of the library.
static BOOL is_of_the_bridge(const char *address) {
    const char *first = (const char *)(void *)applevz_cause_of_change;
    const char *end = (const char *)(void *)_Block_copy;
    return address >= first && address < end;
}

static BOOL is_of_library(const void *address, const char *name) {
    Dl_info information;
    return dladdr(address, &information) && information.dli_fname != NULL &&
           strstr(information.dli_fname, name) != NULL;
}

/// Whether the bridge is among the calls, or whoever called the library is neither GNUstep, which ends its own affairs
/// with the process, nor the system, which calls what the classes here registered with it. A Mac has neither.
static BOOL is_a_program_s(void *const *calls, int count) {
    int last = 0;
    for (int i = 0; i < count; i++) {
        if (is_of_the_bridge(calls[i]))
            return YES;
        if (is_of_library(calls[i], "libapplevz"))
            last = i;
    }
    return last + 1 < count && !is_of_library(calls[last + 1], "gnustep-base") &&
           !is_of_library(calls[last + 1], "libc.so");
}

void played_mac_refuse_in_child(const char *what, const char *name, const char *of) {
    void *calls[64];
    // Not what this may send itself.
    played_mac_is_forked_child = NO;
    int count = backtrace(calls, 64);
    if (is_a_program_s(calls, count)) {
        dprintf(STDERR_FILENO, "played Mac: %s in a forked child: %s of %s\n", what, name, of);
        backtrace_symbols_fd(calls, count, STDERR_FILENO);
        abort();
    }
    played_mac_is_forked_child = YES;
}

static void look_at_child(unretained_id receiver, SEL selector) {
    const char *name = sel_getName(selector);
    if ((strcmp(name, "retain") == 0 || strcmp(name, "release") == 0) &&
        applevz_is_forked_error((__bridge CFErrorRef)receiver))
        return;
    played_mac_refuse_in_child("a message was sent", name, class_getName(object_getClass(receiver)));
}

#pragma mark What the bridge asks of the framework

enum { MESSAGES = 512, LONGEST_NAME = 160 };

typedef struct {
    char name[LONGEST_NAME]; // as "-[VZVirtualMachine stopWithCompletionHandler:]"
    int count;
} message;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards what follows
static message messages[MESSAGES];
static int message_count;
static char raising_name[LONGEST_NAME];
static int raising_call; // 0: none
static int calls_so_far;
static atomic_bool is_watching;

static void check_order(void) {
    const char *others[] = {(const char *)(void *)applevz_guard, (const char *)(void *)applevz_wake_pipe_wake,
                            (const char *)(void *)applevz_machine_create};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!is_of_the_bridge(others[i]))
            played_mac_fail(@"the library's files are not linked in the order that this file takes for granted");
    if (is_of_the_bridge((const char *)(void *)played_mac_fail))
        played_mac_fail(@"this file is linked among the bridge's");
}

/// The name of the framework's class that it is, or is below, as those that key-value observing makes; NULL for
/// another.
static const char *name_of_framework_class(unretained_class class_) {
    for (; class_ != Nil; class_ = class_getSuperclass(class_))
        if (strncmp(class_getName(class_), "VZ", 2) == 0)
            return class_getName(class_);
    return NULL;
}

/// What every object answers, and never raises for. `release` may jump to `dealloc`, which looks as if its caller sent
/// it.
static BOOL is_plain(const char *name) {
    static const char *const plain[] = {"alloc",
                                        "class",
                                        "respondsToSelector:",
                                        "instancesRespondToSelector:",
                                        "isKindOfClass:",
                                        "retain",
                                        "release",
                                        "autorelease",
                                        "dealloc"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(plain[i], name) == 0)
            return YES;
    return NO;
}

static id raise_exception(id self, SEL selector) {
    [NSException raise:NSInternalInconsistencyException
                format:@"the played Mac was told to raise for %@", NSStringFromSelector(selector)];
    return self;
}

/// What is to be called in the place of the method; NULL for the method itself.
static IMP watched(unretained_id receiver, SEL selector, const void *caller) {
    unretained_class class_ = object_getClass(receiver);
    BOOL is_class = class_isMetaClass(class_);
    const char *framework_class = name_of_framework_class(is_class ? (unretained_class)receiver : class_);
    if (framework_class == NULL || is_plain(sel_getName(selector)) || !is_of_the_bridge(caller))
        return NULL;
    char name[LONGEST_NAME];
    snprintf(name, sizeof name, "%c[%s %s]", is_class ? '+' : '-', framework_class, sel_getName(selector));
    BOOL raises = NO;
    pthread_mutex_lock(&lock);
    int place = 0;
    while (place < message_count && strcmp(messages[place].name, name) != 0)
        place++;
    if (place == message_count && message_count < MESSAGES)
        strcpy(messages[message_count++].name, name);
    if (place < message_count)
        messages[place].count++;
    if (raising_call > 0 && strcmp(raising_name, name) == 0)
        raises = ++calls_so_far == raising_call;
    pthread_mutex_unlock(&lock);
    return raises ? PLAYED_MAC_FUNCTION(raise_exception) : NULL;
}

#define EXPORTED __attribute__((visibility("default"), used))

/// Counts the messages from here on, anew, and has the `call`-th of that name raise; none for 0.
EXPORTED void played_mac_raise(const char *name, int call);
EXPORTED void played_mac_raise(const char *name, int call) {
    check_order();
    pthread_mutex_lock(&lock);
    message_count = calls_so_far = 0;
    memset(messages, 0, sizeof messages);
    snprintf(raising_name, sizeof raising_name, "%s", name);
    raising_call = call;
    pthread_mutex_unlock(&lock);
    atomic_store(&is_watching, true);
}

/// The messages that were sent since, a line for each, with its count before it. The text is there until the next call.
EXPORTED const char *played_mac_messages(void);
EXPORTED const char *played_mac_messages(void) {
    static char text[MESSAGES * (LONGEST_NAME + 12)];
    char *end = text;
    *end = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < message_count; i++)
        end += sprintf(end, "%d %s\n", messages[i].count, messages[i].name);
    pthread_mutex_unlock(&lock);
    return text;
}

#pragma mark Looking up

typedef IMP (*Lookup)(unretained_id receiver, SEL selector);

/// In the place of libobjc's, for this library alone. Its header's declaration would give it another visibility.
__attribute__((visibility("hidden"))) IMP played_mac_lookup(unretained_id receiver,
                                                            SEL selector) __asm__("objc_msg_lookup");

IMP played_mac_lookup(unretained_id receiver, SEL selector) {
    static _Atomic(Lookup) original;
    Lookup look = atomic_load_explicit(&original, memory_order_relaxed);
    if (look == NULL) {
        look = (Lookup)dlsym(RTLD_NEXT, "objc_msg_lookup");
        atomic_store_explicit(&original, look, memory_order_relaxed);
    }
    if (receiver != nil && played_mac_is_forked_child)
        look_at_child(receiver, selector);
    if (receiver != nil && atomic_load_explicit(&is_watching, memory_order_relaxed)) {
        void *calls[3];
        // This function, the runtime's that every message goes through, and who sends it.
        IMP other = backtrace(calls, 3) == 3 ? watched(receiver, selector, calls[2]) : NULL;
        if (other != NULL)
            return other;
    }
    return look(receiver, selector);
}
