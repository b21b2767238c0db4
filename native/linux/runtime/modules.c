// SPDX-License-Identifier: Apache-2.0
// Loading. Each object file that clang makes calls __objc_exec_class with its classes and categories before main or
// while dlopen runs. This one, hidden, takes the call in place of libobjc's, makes of clang's module what libobjc
// takes for one of its own version, and passes it on. clang's version is 9, or 10 with ARC.
//
// It is one of the library's, or program's, initializers that calls, and stands among the others: constructors of C and
// initializers of C++ that come before it could send no message. On macOS all classes are there before the first of
// them runs. So initializers.c calls those that load, first of all, and what they load then is loaded once.
//
// What differs:
// - A class whose instance size is not positive is non-fragile: size and offsets are relative to the end of the
//   superclass, whose size is only known here. So a module waits until the superclasses of all its classes have their
//   sizes, for the object files of one library come in any order.
// - A protocol says 3 where libobjc wants 2.
// - Bit 4 of a class's info means "new layout" to clang and "under construction" to libobjc.
#include "runtime.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

// libobjc looks at a module's size when it is handed over, and never again.
enum { gnu_module_version = 8, clang_protocol_version = 3, gnu_protocol_version = 2, size_of_loaded_module = 0 };
static const unsigned long clang_info_new_layout = 0x10;

// In a wheel libobjc's names are ones of applevz's own: native/gnustep/build.py gives them to it.
#ifdef APPLEVZ_BUNDLED
#define RUNTIME_NAME(name) "applevz." name
#else
#define RUNTIME_NAME(name) name
#endif

#pragma GCC visibility push(hidden)

struct waiting_module {
    struct waiting_module *next;
    struct gnu_module *module;
};

static struct waiting_module *waiting_modules;

void runtime_load_module(struct gnu_module *module) {
    static void (*load)(struct gnu_module *);
    if (!load) {
        // libobjc's, though ours has the same name: the search starts after this library.
        load = (void (*)(struct gnu_module *))dlsym(RTLD_NEXT, RUNTIME_NAME("__objc_exec_class"));
        if (!load) {
            runtime_fatal("libobjc.so is not among the libraries this one was linked with");
        }
    }
    load(module);
    module->size = size_of_loaded_module;
}

// It waits for its superclasses, or is loaded: its initializer is called a second time.
static bool is_known(const struct gnu_module *module) {
    for (struct waiting_module *waiting = waiting_modules; waiting; waiting = waiting->next) {
        if (waiting->module == module) {
            return true;
        }
    }
    return module->size == size_of_loaded_module;
}

// A class is laid out when its size is absolute. A root class without variables has none to lay out.
static bool is_laid_out(const struct gnu_class *class) {
    return class->instance_size > 0 || (!class->superclass && !class->ivars);
}

static bool find_instance_size(const char *class_name, long *size) {
    Class loaded = objc_lookUpClass(class_name);
    if (loaded) {
        *size = (long)class_getInstanceSize(loaded);
        return true;
    }
    for (struct waiting_module *waiting = waiting_modules; waiting; waiting = waiting->next) {
        struct gnu_symbols *symbols = waiting->module->symbols;
        for (unsigned i = 0; i < symbols->class_count; i++) {
            struct gnu_class *class = symbols->definitions[i];
            if (strcmp(class->name, class_name) == 0 && is_laid_out(class)) {
                *size = class->instance_size;
                return true;
            }
        }
    }
    return false;
}

static bool lay_out_class(struct gnu_class *class) {
    if (is_laid_out(class)) {
        return true;
    }
    long superclass_size = 0;
    if (class->superclass && !find_instance_size(class->superclass, &superclass_size)) {
        return false;
    }
    class->instance_size = superclass_size - class->instance_size;
    for (int i = 0; class->ivars && i < class->ivars->count; i++) {
        class->ivars->ivars[i].offset += (int)superclass_size;
        *class->ivar_offsets[i] += (int)superclass_size;
    }
    return true;
}

static void adapt_protocols(struct gnu_protocol_list *list) {
    for (; list; list = list->next) {
        for (size_t i = 0; i < list->count; i++) {
            struct gnu_protocol *protocol = list->protocols[i];
            if (protocol->version == clang_protocol_version) {
                protocol->version = gnu_protocol_version;
                adapt_protocols(protocol->protocols);
            }
        }
    }
}

static void adapt_symbols(struct gnu_symbols *symbols) {
    for (unsigned i = 0; i < symbols->class_count; i++) {
        struct gnu_class *class = symbols->definitions[i];
        class->info &= ~clang_info_new_layout;
        class->isa->info &= ~clang_info_new_layout;
        adapt_protocols(class->protocols);
    }
    for (unsigned i = 0; i < symbols->category_count; i++) {
        struct gnu_category *category = symbols->definitions[symbols->class_count + i];
        adapt_protocols(category->protocols);
    }
}

static bool lay_out_module(struct gnu_module *module) {
    bool complete = true;
    bool progress = true;
    while (progress) {
        progress = false;
        complete = true;
        for (unsigned i = 0; i < module->symbols->class_count; i++) {
            struct gnu_class *class = module->symbols->definitions[i];
            if (is_laid_out(class)) {
                continue;
            }
            if (lay_out_class(class)) {
                progress = true;
            } else {
                complete = false;
            }
        }
    }
    return complete;
}

// Runs under the dynamic linker's lock, as all initializers do.
void __objc_exec_class(struct gnu_module *module) {
    if (is_known(module)) {
        return;
    }
    if (module->version == gnu_module_version) {
        runtime_load_module(module);
        return;
    }
    adapt_symbols(module->symbols);
    module->version = gnu_module_version;
    module->size = sizeof *module;
    struct waiting_module *added = malloc(sizeof *added);
    if (!added) {
        runtime_fatal("out of memory while loading classes");
    }
    *added = (struct waiting_module){waiting_modules, module};
    waiting_modules = added;
    bool progress = true;
    while (progress) {
        progress = false;
        for (struct waiting_module **link = &waiting_modules; *link;) {
            struct waiting_module *waiting = *link;
            if (!lay_out_module(waiting->module)) {
                link = &waiting->next;
                continue;
            }
            *link = waiting->next;
            struct gnu_module *complete = waiting->module;
            free(waiting);
            // May run +load methods, which may load libraries: the list must not be held across it.
            runtime_load_module(complete);
            progress = true;
            break;
        }
    }
}

#pragma GCC visibility pop
