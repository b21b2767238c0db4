// SPDX-License-Identifier: Apache-2.0
// The arguments and the environment that NSProcessInfo has. GNUstep ends the process where there is no /proc to read
// them from, and raises an exception, whoever asked, where one of the words is none in the encoding of the locale: a
// file's name in another encoding, or any name with an accent in a locale without a name. It is given both by us, as
// they were when this library was loaded; in a word that cannot be read each byte that is not ASCII becomes a question
// mark.
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

// GNUstep's, for programs whose words it cannot find by itself.
extern void GSInitializeProcess(int count, char **arguments, char **environment);

#pragma GCC visibility push(hidden)

static char **process_arguments, **process_environment;
static IMP original_initialize;

static unsigned count_of(char **words) {
    unsigned count = 0;
    while (words && words[count]) {
        count++;
    }
    return count;
}

/// The program may change its words at any time, or move them: they are copied while it loads this library.
static char **copy_of(char **words) {
    unsigned count = count_of(words);
    char **copy = calloc(count + 1, sizeof *copy);
    for (unsigned i = 0; i < count; i++) {
        if (!copy || !(copy[i] = strdup(words[i]))) {
            abort();
        }
    }
    return copy;
}

static void free_words(char **words) {
    for (unsigned i = 0; words[i]; i++) {
        free(words[i]);
    }
    free(words);
}

static bool is_ascii(const char *word) {
    for (; *word; word++) {
        if ((unsigned char)*word >= 0x80) {
            return false;
        }
    }
    return true;
}

/// Whether it is a text, as Foundation asks it.
static bool can_be_read(const char *word) {
    id strings = (id)objc_getRequiredClass("NSString");
    SEL encoding_selector = sel_registerName("defaultCStringEncoding");
    SEL string_selector = sel_registerName("stringWithCString:encoding:");
    int encoding = METHOD(int, objc_msg_lookup(strings, encoding_selector))(strings, encoding_selector);
    IMP make = objc_msg_lookup(strings, string_selector);
    return ((id (*)(id, SEL, const char *, int))(void (*)(void))make)(strings, string_selector, word, encoding) != nil;
}

static void make_readable(char **words) {
    for (unsigned i = 0; words[i]; i++) {
        if (is_ascii(words[i])) {
            continue;
        }
        // Name and value are read apart, and each may be no text where both together are.
        char *value = strchr(words[i], '=');
        if (value) {
            *value = '\0';
        }
        bool readable = can_be_read(words[i]) && (!value || can_be_read(value + 1));
        if (value) {
            *value = '=';
        }
        for (char *byte = words[i]; !readable && *byte; byte++) {
            *byte = (unsigned char)*byte < 0x80 ? *byte : '?';
        }
    }
}

static void initialize(id self, SEL selector) {
    if (process_arguments) {
        void *pool = objc_autoreleasePoolPush();
        make_readable(process_arguments);
        make_readable(process_environment);
        GSInitializeProcess((int)count_of(process_arguments), process_arguments, process_environment);
        objc_autoreleasePoolPop(pool);
        free_words(process_arguments);
        free_words(process_environment);
        process_arguments = process_environment = NULL;
    }
    // What it does besides.
    METHOD(void, original_initialize)(self, selector);
}

void runtime_give_process_words(int count, char **arguments, char **environment) {
    Class class = objc_getRequiredClass("NSProcessInfo");
    Method method = class_getClassMethod(class, sel_registerName("initialize"));
    if (count < 1 || !method || ((struct gnu_class *)(void *)class)->info & gnu_info_initialized) {
        return;
    }
    process_arguments = copy_of(arguments);
    process_environment = copy_of(environment);
    original_initialize = method_setImplementation(method, IMPLEMENTATION(initialize));
}

#pragma GCC visibility pop
