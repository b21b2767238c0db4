// SPDX-License-Identifier: Apache-2.0
// Keeps two classes of GNUstep's from starting by themselves: the user defaults and the bundles. Foundation asks them
// in many places, a log line, a file handle, an error, for options that nobody set and translations that nobody wrote,
// and the first question makes them start: they take a lock in the home folder, for which they wait up to half a
// minute, look the user up, set LC_CTYPE from the environment, look for a dozen folders and read GNUstep.conf. Debian
// 13's, to read it, makes a file in /tmp and runs a shell with `dpkg-architecture`, and ends the process where that
// fails.
//
// So Foundation's own first questions are answered "there is none", which is what it would find. A program that asks
// one of the classes itself is one of GNUstep's: from then on both are GNUstep's own, started at that moment as it does
// it.
//
// Programs that are built on these frameworks are such programs from their first line on, and nothing is held there.
#include "runtime.h"

#ifndef APPLEVZ_FRAMEWORKS

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(hidden)

struct held_method {
    SEL selector;
    IMP original;
};

static struct held_class {
    const char *name;
    // What Foundation asks without a program's doing; that there is none is an answer to each.
    const char *questions[4];
    Class class;
    struct held_method *methods;
    unsigned count;
    bool started;
} held_classes[] = {
    {.name = "NSUserDefaults", .questions = {"standardUserDefaults"}},
    {.name = "NSBundle",
     .questions = {"mainBundle", "bundleForClass:", "bundleForLibrary:", "bundleForLibrary:version:"}},
};
enum { HELD_CLASSES = sizeof held_classes / sizeof *held_classes };

// Those that a class has from NSObject and that come first where it is used, each of one argument at most.
static const struct {
    const char *name, *types;
} inherited[] = {{"class", "#16@0:8"}, {"alloc", "@16@0:8"}, {"allocWithZone:", "@24@0:8^v16"}};
enum { INHERITED = sizeof inherited / sizeof *inherited };

static const void *foundation;
static atomic_bool given_back;
// Recursive: one class asks the other, and itself, as it starts.
static pthread_mutex_t start_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static const void *library_of(const void *address) {
    Dl_info information;
    return dladdr(address, &information) ? information.dli_fbase : NULL;
}

static IMP original(const struct held_class *held, SEL selector) {
    for (unsigned i = 0; i < held->count; i++) {
        if (sel_isEqual(held->methods[i].selector, selector)) {
            return held->methods[i].original;
        }
    }
    abort();
}

/// Whoever comes meanwhile waits, as for any class that starts.
static void start(struct held_class *held) {
    pthread_mutex_lock(&start_lock);
    if (!held->started) {
        held->started = true;
        SEL initialize = sel_registerName("initialize");
        METHOD(void, original(held, initialize))((id)held->class, initialize);
        for (unsigned i = 0; i < held->count; i++) {
            method_setImplementation(class_getClassMethod(held->class, held->methods[i].selector),
                                     held->methods[i].original);
        }
    }
    pthread_mutex_unlock(&start_lock);
}

static bool is_answered(const struct held_class *held, SEL selector, const void *caller, id *answer) {
    if (atomic_load(&given_back) || library_of(caller) != foundation) {
        return false;
    }
    const char *name = sel_getName(selector);
    *answer = nil;
    for (unsigned i = 0; i < sizeof held->questions / sizeof *held->questions && held->questions[i]; i++) {
        if (strcmp(held->questions[i], name) == 0) {
            return true;
        }
    }
    *answer = (id)held->class;
    return strcmp(name, "class") == 0;
}

/// The one that it is, or comes from.
static struct held_class *held_class_of(Class class) {
    for (; class; class = class_getSuperclass(class)) {
        for (unsigned i = 0; i < HELD_CLASSES; i++) {
            if (held_classes[i].class == class) {
                return &held_classes[i];
            }
        }
    }
    abort();
}

/// In place of every class method but +initialize: of any number of arguments that registers hold.
static id asked(id self, SEL selector, void *first, void *second, void *third, void *fourth) {
    struct held_class *held = held_class_of((Class)self);
    id answer;
    if (is_answered(held, selector, __builtin_return_address(0), &answer)) {
        return answer;
    }
    atomic_store(&given_back, true);
    start(held);
    IMP method = original(held, selector);
    return ((id (*)(id, SEL, void *, void *, void *, void *))(void (*)(void))method)(self, selector, first, second,
                                                                                     third, fourth);
}

static void initialize_later(id self, SEL selector) {
    (void)self, (void)selector;
}

static void add_method(struct held_class *held, SEL selector, IMP implementation) {
    held->methods[held->count++] = (struct held_method){selector, implementation};
}

static void hold(struct held_class *held) {
    Class metaclass = object_getClass((id)held->class);
    unsigned count;
    Method *methods = class_copyMethodList(metaclass, &count);
    held->methods = calloc(count + INHERITED, sizeof *held->methods);
    if (!methods || !held->methods) {
        abort();
    }
    SEL initialize = sel_registerName("initialize");
    for (unsigned i = 0; i < count; i++) {
        SEL selector = method_getName(methods[i]);
        add_method(held, selector, method_getImplementation(methods[i]));
        bool starts = sel_isEqual(selector, initialize);
        method_setImplementation(methods[i], starts ? IMPLEMENTATION(initialize_later) : IMPLEMENTATION(asked));
    }
    free(methods);
    for (unsigned i = 0; i < INHERITED; i++) {
        SEL selector = sel_registerName(inherited[i].name);
        IMP implementation = method_getImplementation(class_getClassMethod(held->class, selector));
        if (class_addMethod(metaclass, selector, IMPLEMENTATION(asked), inherited[i].types)) {
            add_method(held, selector, implementation);
        }
    }
}

void runtime_hold_classes(void) {
    for (unsigned i = 0; i < HELD_CLASSES; i++) {
        Class class = held_classes[i].class = objc_getRequiredClass(held_classes[i].name);
        foundation = library_of(class);
        SEL question = sel_registerName(held_classes[i].questions[0]);
        IMP answer = method_getImplementation(class_getClassMethod(class, question));
        // A host program of GNUstep's own has started it, or another copy of this layer holds it.
        if (((struct gnu_class *)(void *)class)->info & gnu_info_initialized ||
            library_of((const void *)answer) != foundation) {
            return;
        }
    }
    for (unsigned i = 0; i < HELD_CLASSES; i++) {
        hold(&held_classes[i]);
    }
}

#pragma GCC visibility pop

#else

void runtime_hold_classes(void) {}

#endif
