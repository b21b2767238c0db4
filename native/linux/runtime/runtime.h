// SPDX-License-Identifier: Apache-2.0
// What the files of the runtime layer share. Nothing outside this folder includes it.
//
// The layer gives clang's ARC code what GCC's libobjc lacks. All its symbols are hidden: each shared library that is
// built with it has a copy of its own, and several copies work side by side in one process (weak.c says how).
#ifndef APPLEVZ_RUNTIME_H
#define APPLEVZ_RUNTIME_H

#pragma GCC visibility push(default)
#include <objc/message.h>
#include <objc/runtime.h>
#pragma GCC visibility pop
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#include <objc/objc-arc.h>

// The structures that clang emits for -fobjc-runtime=gnustep-1.9 and that GCC's libobjc, older, reads as its own:
// the first fields are the same, the last ones are clang's additions.
struct gnu_ivar {
    const char *name;
    const char *type;
    int offset;
};

struct gnu_ivar_list {
    int count;
    struct gnu_ivar ivars[];
};

struct gnu_method {
    const char *name; // becomes a SEL when libobjc registers the list
    const char *types;
    IMP implementation;
};

struct gnu_method_list {
    struct gnu_method_list *next;
    int count;
    struct gnu_method methods[];
};

struct gnu_protocol {
    uintptr_t version; // libobjc puts the isa here
    const char *name;
    struct gnu_protocol_list *protocols;
};

struct gnu_protocol_list {
    struct gnu_protocol_list *next;
    size_t count;
    struct gnu_protocol *protocols[];
};

struct gnu_class {
    struct gnu_class *isa;
    const char *superclass; // a name until libobjc resolves it to the class
    const char *name;
    long version;
    unsigned long info;
    long instance_size;
    struct gnu_ivar_list *ivars;
    struct gnu_method_list *methods;
    void *dispatch_table;
    struct gnu_class *subclasses;
    struct gnu_class *sibling;
    struct gnu_protocol_list *protocols;
    void *collection_type;
    // From here on clang's only.
    long abi_version;
    int **ivar_offsets;
    void *properties;
    uintptr_t strong_ivars;
    uintptr_t weak_ivars;
};

struct gnu_category {
    const char *name;
    const char *class_name;
    struct gnu_method_list *instance_methods;
    struct gnu_method_list *class_methods;
    struct gnu_protocol_list *protocols;
};

struct gnu_symbols {
    unsigned long selector_count;
    void *selectors;
    unsigned short class_count;
    unsigned short category_count;
    void *definitions[]; // classes, then categories, then the list of constant objects
};

struct gnu_module {
    unsigned long version;
    unsigned long size;
    const char *name;
    struct gnu_symbols *symbols;
};

enum { gnu_info_class = 1, gnu_info_metaclass = 2, gnu_info_initialized = 4 };

// modules.c: hands a module to libobjc's own loader, which keeps the pointer.
void runtime_load_module(struct gnu_module *module);

// A method's implementation by its real type, and the other way round: IMP is a type that hardly any method has.
#define METHOD(result, implementation) ((result (*)(id, SEL))(void (*)(void))(implementation))
#define IMPLEMENTATION(function) ((IMP)(void (*)(void))(function))

// process.c: called once, before any other initializer of the library that the layer is part of, with what main has.
void runtime_start(int count, char **arguments, char **environment);

// fatal.c: ends the process with one line on standard error; for misuse that Apple's runtime ends it for, too.
_Noreturn void runtime_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

// blocks.c
enum block_storage { block_on_heap, block_on_stack, block_global };
enum block_storage runtime_block_storage(id block);
bool runtime_block_is_dying(id block);
// One reference more, unless the block's last one is already gone.
bool runtime_block_try_retain(id block);
void runtime_register_block_classes(void);

// weak.c
void runtime_start_weak_references(void);
// Called with the last reference gone and before anything of the object is torn down.
void runtime_zero_weak_references(id object);

// thread_pools.c
void runtime_start_thread_pools(void);

// exceptions.c
void runtime_start_exceptions(void);

// held_classes.c and process_words.c: before any message is sent.
void runtime_hold_classes(void);
void runtime_give_process_words(int count, char **arguments, char **environment);

// file_handles.c, identifiers.c: what GNUstep's do wrong where a system has nothing to spare.
void runtime_start_file_handles(void);
void runtime_start_identifiers(void);

// protocols.c
void runtime_start_protocols(void);

// ownership.c
void runtime_register_selectors(void);
// That of texts that stand in the program: they are never released.
extern Class runtime_constant_string_class;

#pragma GCC visibility pop
#endif
