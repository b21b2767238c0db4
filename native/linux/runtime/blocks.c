// SPDX-License-Identifier: Apache-2.0
// The Blocks runtime, after the public description of its ABI (clang's "Block Implementation Specification").
//
// It stands here, in place of libBlocksRuntime, because a block has to be an object: [block copy], a block in an
// NSArray and __weak to a block are everyday Objective-C. The three isa's that the compiler stores into blocks are
// therefore classes, built in place and registered with libobjc. They are hidden, while _Block_copy and
// _Block_release are not (Block.h says why); these go by a block's flags, so that it does not matter which library's
// copy of them is called.
#include "runtime.h"

#include "Block.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(hidden)

// Flags of a block and of a __block variable. The count is in steps of 2; bit 0 is set once the last reference is
// gone, and stays: that is what lets a weak reference be loaded safely.
enum {
    deallocating = 1,
    reference = 2,
    reference_mask = 0xfffe,
    needs_free = 1 << 24,
    has_copy_dispose = 1 << 25,
    is_global = 1 << 28,
};

struct block_descriptor {
    unsigned long reserved;
    unsigned long size;
    void (*copy)(void *destination, const void *source); // with has_copy_dispose
    void (*dispose)(const void *block);
};

struct block {
    void *isa;
    int flags;
    int reserved;
    void (*invoke)(void *, ...);
    struct block_descriptor *descriptor;
};

struct block_variable {
    void *isa;
    struct block_variable *forwarding;
    int flags;
    int size;
    void (*copy)(struct block_variable *destination, struct block_variable *source); // with has_copy_dispose
    void (*dispose)(struct block_variable *variable);
};

// What _Block_object_assign and _Block_object_dispose are given.
enum { field_object = 3, field_block = 7, field_variable = 8, field_weak = 16, field_of_variable = 128 };

struct gnu_class _NSConcreteStackBlock, _NSConcreteMallocBlock, _NSConcreteGlobalBlock;

// A count that reached its maximum stays there, and its object lives for ever: better than one freed in use.
static void retain_flags(int *flags) {
    int old = __atomic_load_n(flags, __ATOMIC_RELAXED);
    do {
        if ((old & reference_mask) == reference_mask) {
            return;
        }
    } while (!__atomic_compare_exchange_n(flags, &old, old + reference, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

static bool release_flags(int *flags) {
    int old = __atomic_load_n(flags, __ATOMIC_RELAXED);
    int new;
    bool last;
    do {
        if ((old & reference_mask) == reference_mask || (old & reference_mask) == 0) {
            return false;
        }
        last = (old & (reference_mask | deallocating)) == reference;
        new = last ? old - reference + deallocating : old - reference;
    } while (!__atomic_compare_exchange_n(flags, &old, new, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return last;
}

void *_Block_copy(const void *source) {
    struct block *block = (struct block *)source;
    if (!block) {
        return NULL;
    }
    int flags = __atomic_load_n(&block->flags, __ATOMIC_RELAXED);
    if (flags & needs_free) {
        retain_flags(&block->flags);
        return block;
    }
    if (flags & is_global) {
        return block;
    }
    struct block *copy = malloc(block->descriptor->size);
    if (!copy) {
        return NULL;
    }
    memcpy(copy, block, block->descriptor->size);
    copy->flags = (flags & ~(reference_mask | deallocating)) | needs_free | reference;
    if (flags & has_copy_dispose) {
        block->descriptor->copy(copy, block);
    }
    copy->isa = &_NSConcreteMallocBlock;
    return copy;
}

void _Block_release(const void *source) {
    struct block *block = (struct block *)source;
    if (!block || !(__atomic_load_n(&block->flags, __ATOMIC_RELAXED) & needs_free) || !release_flags(&block->flags)) {
        return;
    }
    runtime_zero_weak_references((id)block);
    if (block->flags & has_copy_dispose) {
        block->descriptor->dispose(block);
    }
    free(block);
}

id objc_retainBlock(id block) {
    return _Block_copy(block);
}

enum block_storage runtime_block_storage(id object) {
    int flags = __atomic_load_n(&((struct block *)object)->flags, __ATOMIC_RELAXED);
    return flags & needs_free ? block_on_heap : flags & is_global ? block_global : block_on_stack;
}

bool runtime_block_is_dying(id object) {
    return __atomic_load_n(&((struct block *)object)->flags, __ATOMIC_RELAXED) & deallocating;
}

bool runtime_block_try_retain(id object) {
    struct block *block = (struct block *)object;
    int old = __atomic_load_n(&block->flags, __ATOMIC_RELAXED);
    do {
        if (old & deallocating) {
            return false;
        }
        if ((old & reference_mask) == reference_mask) {
            return true;
        }
    } while (
        !__atomic_compare_exchange_n(&block->flags, &old, old + reference, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

// The first copy of a block that uses a __block variable moves the variable to the heap, with two references: the
// copy's, and that of the stack frame, which forwards to it from then on.
static struct block_variable *copy_variable(struct block_variable *variable) {
    struct block_variable *source = __atomic_load_n(&variable->forwarding, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&source->flags, __ATOMIC_RELAXED) & needs_free) {
        retain_flags(&source->flags);
        return source;
    }
    struct block_variable *copy = malloc((size_t)source->size);
    if (!copy) {
        runtime_fatal("out of memory while copying a __block variable");
    }
    memcpy(copy, source, (size_t)source->size);
    copy->flags = (source->flags & ~(reference_mask | deallocating)) | needs_free | 2 * reference;
    copy->forwarding = copy;
    if (source->flags & has_copy_dispose) {
        source->copy(copy, source);
    }
    __atomic_store_n(&source->forwarding, copy, __ATOMIC_RELEASE);
    return copy;
}

static void release_variable(struct block_variable *variable) {
    variable = __atomic_load_n(&variable->forwarding, __ATOMIC_ACQUIRE);
    if (!(__atomic_load_n(&variable->flags, __ATOMIC_RELAXED) & needs_free) || !release_flags(&variable->flags)) {
        return;
    }
    if (variable->flags & has_copy_dispose) {
        variable->dispose(variable);
    }
    free(variable);
}

void _Block_object_assign(void *destination, const void *object, const int kind) {
    const void **target = destination;
    switch (kind & ~field_weak) {
    case field_object:
        *target = objc_retain((id)object);
        break;
    case field_block:
        *target = _Block_copy(object);
        break;
    case field_variable:
        *target = copy_variable((struct block_variable *)object);
        break;
    default: // the object in a __block variable of code without ARC: not retained
        *target = object;
        break;
    }
}

void _Block_object_dispose(const void *object, const int kind) {
    switch (kind & ~field_weak) {
    case field_object:
        objc_release((id)object);
        break;
    case field_block:
        _Block_release(object);
        break;
    case field_variable:
        release_variable((struct block_variable *)object);
        break;
    default:
        break;
    }
}

// The methods of a block as an object. A stack block's -retain does not copy, as Apple's does not: -copy does.
static id block_copy(id self, SEL selector) {
    (void)selector;
    return _Block_copy(self);
}

static id block_copy_with_zone(id self, SEL selector, void *zone) {
    (void)selector, (void)zone;
    return _Block_copy(self);
}

static id block_retain(id self, SEL selector) {
    (void)selector;
    struct block *block = (struct block *)self;
    if (__atomic_load_n(&block->flags, __ATOMIC_RELAXED) & needs_free) {
        retain_flags(&block->flags);
    }
    return self;
}

static void block_release(id self, SEL selector) {
    (void)selector;
    _Block_release(self);
}

static unsigned long block_retain_count(id self, SEL selector) {
    (void)selector;
    struct block *block = (struct block *)self;
    int flags = __atomic_load_n(&block->flags, __ATOMIC_RELAXED);
    return flags & needs_free ? (unsigned long)(flags & reference_mask) / reference : 1;
}

enum { block_method_count = 5 };
static struct {
    struct gnu_method_list *next;
    int count;
    struct gnu_method methods[block_method_count];
} block_methods = {
    NULL,
    block_method_count,
    {
        {"copy", "@16@0:8", IMPLEMENTATION(block_copy)},
        {"copyWithZone:", "@24@0:8^v16", IMPLEMENTATION(block_copy_with_zone)},
        {"retain", "@16@0:8", IMPLEMENTATION(block_retain)},
        {"release", "v16@0:8", IMPLEMENTATION(block_release)},
        {"retainCount", "Q16@0:8", IMPLEMENTATION(block_retain_count)},
    },
};

enum { block_class_count = 4 };
static struct gnu_class block_base;
static struct gnu_class block_metaclasses[block_class_count];
static struct {
    unsigned long selector_count;
    void *selectors;
    unsigned short class_count;
    unsigned short category_count;
    void *definitions[block_class_count + 1];
} block_symbols = {
    .class_count = block_class_count,
    .definitions = {&block_base, &_NSConcreteStackBlock, &_NSConcreteMallocBlock, &_NSConcreteGlobalBlock},
};
static struct gnu_module block_module = {8, sizeof block_module, "blocks", (struct gnu_symbols *)&block_symbols};

// Class names are one for the process, these classes one for each copy of the layer: the later ones carry their
// address.
static const char *unused_class_name(const char *name, const void *class) {
    if (!objc_lookUpClass(name)) {
        return name;
    }
    char *unique = NULL;
    if (asprintf(&unique, "%s%p", name, class) < 0) {
        runtime_fatal("out of memory while loading classes");
    }
    return unique;
}

void runtime_register_block_classes(void) {
    static const char *const names[block_class_count] = {"NSBlock", "__NSStackBlock__", "__NSMallocBlock__",
                                                         "__NSGlobalBlock__"};
    for (int i = 0; i < block_class_count; i++) {
        struct gnu_class *class = block_symbols.definitions[i];
        const char *name = unused_class_name(names[i], class);
        // A later copy's NSBlock derives from the first one's: a block is what has that for an ancestor.
        const char *superclass = i != 0 ? block_base.name : name == names[0] ? "NSObject" : names[0];
        // libobjc takes the name of the root class in a metaclass's isa.
        block_metaclasses[i] = (struct gnu_class){
            .isa = (struct gnu_class *)"NSObject",
            .superclass = superclass,
            .name = name,
            .info = gnu_info_metaclass,
            .instance_size = offsetof(struct gnu_class, abi_version),
        };
        *class = (struct gnu_class){
            .isa = &block_metaclasses[i],
            .superclass = superclass,
            .name = name,
            .info = gnu_info_class,
            .instance_size = sizeof(struct block),
            .methods = i == 0 ? (struct gnu_method_list *)&block_methods : NULL,
        };
    }
    runtime_load_module(&block_module);
}

#pragma GCC visibility pop
