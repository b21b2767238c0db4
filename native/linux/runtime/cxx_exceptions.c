// SPDX-License-Identifier: Apache-2.0
// Exceptions in Objective-C++, where @catch and catch see those of both languages.
//
// libobjc's exceptions are foreign to the C++ library, which matches none of its handlers with one but `catch (...)`.
// clang describes the classes that an @catch names by type information as of C++, whose methods the runtime is to have:
// they are below. So the personality routine shows the C++ library's an exception of C++ with the same object, of the
// type `id`, as often as it is asked, and decides by its answer; a handler gets that one, and in cleanups the one that
// was thrown flies on. What a handler throws again is thrown again as it was.
//
// Nothing here is used in a program without the C++ library: what is taken from that is weak.
#include "runtime.h"

#include <dlfcn.h>
#include <string.h>
#include <unwind.h>

#pragma GCC visibility push(default)
_Unwind_Reason_Code __gxx_personality_v0(int version, _Unwind_Action actions, _Unwind_Exception_Class exception_class,
                                         struct _Unwind_Exception *exception, struct _Unwind_Context *context)
    __attribute__((weak));
void *__cxa_allocate_exception(size_t size) __attribute__((weak));
void __cxa_free_exception(void *object) __attribute__((weak));
void *__cxa_init_primary_exception(void *object, void *type, void (*destructor)(void *)) __attribute__((weak));
void objc_exception_throw(id exception) __attribute__((noreturn));

// As the C++ ABI has it, with what GNU's library has behind.
struct cxx_globals {
    struct cxx_exception *caught; // the handlers' that run, the innermost first
    unsigned uncaught;
};
struct cxx_globals *__cxa_get_globals(void) __attribute__((weak));
#pragma GCC visibility pop

#pragma GCC visibility push(hidden)

struct cxx_exception {
    const void *type;
    void (*destructor)(void *);
    void (*unexpected)(void);
    void (*terminate)(void);
    struct cxx_exception *next;
    int handler_count, handler_switch_value;
    const unsigned char *action_record, *language_specific_data;
    void *catch_temporary, *adjusted;
    struct _Unwind_Exception unwind;
};

// Before what is thrown.
struct objc_exception {
    struct _Unwind_Exception unwind;
    id object;
};

static const _Unwind_Exception_Class objc_class = 0x474e55434f424a43; // GNUCOBJC
static const _Unwind_Exception_Class cxx_class = 0x474e5543432b2b00;  // GNUCC++\0

#pragma mark Type information

struct type {
    const void *methods;
    const char *name; // of a class
};

struct methods {
    intptr_t offset_to_top;
    const void *type;
    void (*destructor)(const struct type *);
    void (*deleting_destructor)(const struct type *);
    bool (*is_pointer)(const struct type *);
    bool (*is_function)(const struct type *);
    bool (*catches)(const struct type *handled, const struct type *thrown, void **object, unsigned outer);
    bool (*casts)(const struct type *type, const void *target, void **object);
};

// In the place of an offset that such a class cannot have: each copy of the layer has methods of its own.
static const intptr_t mark = 0x6f626a63;

static bool is_of_objects(const struct type *type) {
    const struct methods *methods = (const void *)((const char *)type->methods - offsetof(struct methods, destructor));
    return methods->offset_to_top == mark;
}

static void destroy(const struct type *type) {
    (void)type; // a constant
}

static bool is_pointer(const struct type *type) {
    (void)type;
    return true;
}

static bool is_function(const struct type *type) {
    (void)type;
    return false;
}

static bool casts(const struct type *type, const void *target, void **object) {
    (void)type, (void)target, (void)object;
    return false;
}

static bool catches(const struct type *handled, const struct type *thrown, void **thrown_object, unsigned outer) {
    (void)outer;
    if (!is_of_objects(thrown)) {
        return false;
    }
    id object = *thrown_object;
    if (strcmp(handled->name, "id") == 0) {
        return true;
    }
    Class class = objc_lookUpClass(handled->name);
    for (Class own = object ? object->class_pointer : Nil; class && own; own = class_getSuperclass(own)) {
        if (own == class) {
            return true;
        }
    }
    return false;
}

// The names are clang's: `vtable for gnustep::libobjc2::__objc_class_type_info`, and the type of `id`.
extern const struct methods class_methods __asm__("_ZTVN7gnustep7libobjc22__objc_class_type_infoE");
const struct type __objc_id_type_info = {&class_methods.destructor, "id"};
const struct methods class_methods = {
    mark, &__objc_id_type_info, destroy, destroy, is_pointer, is_function, catches, casts,
};

#pragma mark Frames

static struct _Unwind_Exception *exception_of(id object) {
    id *thrown = __cxa_allocate_exception(sizeof(id));
    // The count of references is the first member of what it makes.
    *(int *)__cxa_init_primary_exception(thrown, (void *)(uintptr_t)&__objc_id_type_info, NULL) = 1;
    *thrown = object;
    return (struct _Unwind_Exception *)(void *)thrown - 1;
}

_Unwind_Reason_Code __gnustep_objcxx_personality_v0(int version, _Unwind_Action actions,
                                                    _Unwind_Exception_Class exception_class,
                                                    struct _Unwind_Exception *exception,
                                                    struct _Unwind_Context *context) {
    if (exception_class != objc_class) {
        return __gxx_personality_v0(version, actions, exception_class, exception, context);
    }
    struct _Unwind_Exception *shown = exception_of(((struct objc_exception *)(void *)exception)->object);
    // A handler's frame is entered with what was found when it was searched for, and then.
    if (actions & _UA_HANDLER_FRAME) {
        __gxx_personality_v0(version, _UA_SEARCH_PHASE, cxx_class, shown, context);
    }
    _Unwind_Reason_Code result = __gxx_personality_v0(version, actions, cxx_class, shown, context);
    if (result == _URC_INSTALL_CONTEXT && actions & _UA_HANDLER_FRAME) {
        // The handler's from here on, which takes one off.
        __cxa_get_globals()->uncaught++;
        _Unwind_DeleteException(exception);
        return result;
    }
    if (result == _URC_INSTALL_CONTEXT) {
        _Unwind_SetGR(context, __builtin_eh_return_data_regno(0), (uintptr_t)exception);
    }
    __cxa_free_exception(shown + 1);
    return result;
}

#pragma mark Throwing again

static void throw_again_if_object(const struct _Unwind_Exception *exception) {
    const struct cxx_exception *thrown =
        (const void *)((const char *)exception - offsetof(struct cxx_exception, unwind));
    // The frame that is left takes leave of the one it caught.
    if (exception->exception_class == cxx_class && is_of_objects(thrown->type)) {
        objc_exception_throw(*(const id *)(const void *)(exception + 1));
    }
}

// In the place of the C++ library's, for the code that is linked with this: `throw;` in a handler.
void __cxa_rethrow(void) {
    const struct cxx_exception *caught = __cxa_get_globals()->caught;
    if (caught) {
        throw_again_if_object(&caught->unwind);
    }
    ((void (*)(void))dlsym(RTLD_NEXT, "__cxa_rethrow"))();
    __builtin_unreachable();
}

// Likewise, for the end of a @finally that an exception came through: clang writes this where it means the other, and
// an exception of C++ would be destroyed on its way. By another name: <unwind.h> says that this one can be seen.
_Unwind_Reason_Code resume_or_rethrow(struct _Unwind_Exception *exception) __asm__("_Unwind_Resume_or_Rethrow");
_Unwind_Reason_Code resume_or_rethrow(struct _Unwind_Exception *exception) {
    if (exception->exception_class >> 8 == cxx_class >> 8) {
        __cxa_rethrow();
    }
    static _Unwind_Reason_Code (*next)(struct _Unwind_Exception *);
    next = next ? next
                : (_Unwind_Reason_Code (*)(struct _Unwind_Exception *))dlsym(RTLD_NEXT, "_Unwind_Resume_or_Rethrow");
    return next(exception);
}

#pragma GCC visibility pop
