// SPDX-License-Identifier: Apache-2.0
//
// References that end at deallocation, and functions that borrow what they refer to.
//
// A finalizer is the wrong place to give something back. The garbage collector calls the finalizers of a cycle in an
// order of its own: what is given back by one may be used by the next, by a `__del__`, a suspended generator's `with`
// or a dropped task. cffi's `ffi.gc` is such a finalizer. The types here are unknown to the collector (no
// Py_TPFLAGS_HAVE_GC): nothing happens to a Reference before the last object that refers to it is gone, and none could
// use it then. It refers to nothing that leads back to it, so no cycle goes through it.
//
// A reference can be ended earlier, while another thread is in a call with it or in a signal's handler in the middle of
// one: so what it refers to is lent for a call, never given away, and is given back when it was ended and the last call
// is over. A call that comes later is refused.
//
// What a function makes is a Reference before any Python code runs again: a signal's handler that raises, as Ctrl-C's
// does, can come between two steps of Python's interpreter, and what only an address told of would be lost.

#include <_cffi_include.h> // cffi's own table for extension modules; includes Python.h
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

typedef struct {
    PyTypeObject *reference_type;
    PyTypeObject *function_type;
    PyObject *new_memory;   // ffi.new
    PyObject *void_pointer; // cffi's type `void *`
    PyObject *ended;        // makes the exception for a reference that has ended
} State;

// ---- References
// ---------------------------------------------------------------------------------------------------------

typedef void (*Release)(void *address);

// How many calls have borrowed it, and whether it was ended. Exactly one thread comes to see ENDED alone, and gives it
// back.
enum { BORROWED_ONCE = 2, ENDED = 1 };

typedef struct Reference {
    PyObject_HEAD PyObject *value; // what a call is given: a cffi pointer, or a descriptor's number
    void *address;
    Release release;
    bool is_error; // and its release takes less time than letting other threads run meanwhile
    _Atomic(size_t) uses;
    struct Reference *next, *previous; // among the errors
} Reference;

#ifdef Py_GIL_DISABLED
// Whoever is on a list could go while another thread is about to refer to him.
enum { KEEPS_LIST = false };
#else
enum { KEEPS_LIST = true };
#endif

// The errors that are there, for whoever reads them before a fork (applevz.errors). Python's lock guards the list.
static Reference *errors;

static void add_to_list(Reference *self) {
    self->next = errors;
    self->previous = NULL;
    if (errors != NULL)
        errors->previous = self;
    errors = self;
}

static void remove_from_list(Reference *self) {
    if (self->previous != NULL)
        self->previous->next = self->next;
    else
        errors = self->next;
    if (self->next != NULL)
        self->next->previous = self->previous;
}

static void close_descriptor(void *address) {
    // Not again after EINTR: Linux has closed it, and the number may be another file's.
    close((int)(intptr_t)address);
}

static void give_up(Reference *self) {
    if (self->is_error) {
        self->release(self->address);
        return;
    }
    Py_BEGIN_ALLOW_THREADS self->release(self->address);
    Py_END_ALLOW_THREADS
}

static bool borrow(Reference *self) {
    size_t uses = atomic_load(&self->uses);
    do {
        if (uses & ENDED)
            return false;
    } while (!atomic_compare_exchange_weak(&self->uses, &uses, uses + BORROWED_ONCE));
    return true;
}

static void give_back(Reference *self) {
    if (atomic_fetch_sub(&self->uses, BORROWED_ONCE) == (BORROWED_ONCE | ENDED))
        give_up(self);
}

static void end(Reference *self) {
    if (atomic_fetch_or(&self->uses, ENDED) == 0)
        give_up(self);
}

/// Takes over what is at the address, on failure too, and a reference to the value, which may be NULL after a failure.
static PyObject *reference_new(PyTypeObject *type, PyObject *value, void *address, Release release, bool is_error) {
    Reference *self = value == NULL ? NULL : PyObject_New(Reference, type);
    if (self == NULL) {
        Py_XDECREF(value);
        release(address);
        return NULL;
    }
    self->value = value;
    self->address = address;
    self->release = release;
    self->is_error = is_error;
    atomic_init(&self->uses, 0);
    if (KEEPS_LIST && is_error)
        add_to_list(self);
    return (PyObject *)self;
}

static void reference_dealloc(PyObject *object) {
    Reference *self = (Reference *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (KEEPS_LIST && self->is_error)
        remove_from_list(self);
    // Whoever borrowed it and still refers to it would keep it here: what is left over was forgotten.
    if (atomic_load(&self->uses) != ENDED)
        give_up(self);
    Py_DECREF(self->value);
    PyObject_Free(object);
    Py_DECREF((PyObject *)type);
}

static PyObject *refuse_ended(PyTypeObject *type) {
    State *state = PyType_GetModuleState(type);
    if (state == NULL || state->ended == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "What is referred to was given back.");
        return NULL;
    }
    PyObject *exception = PyObject_CallNoArgs(state->ended);
    if (exception != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(exception);
    }
    return NULL;
}

static PyObject *reference_borrow(PyObject *object, PyObject *unused) {
    (void)unused;
    Reference *self = (Reference *)object;
    if (!borrow(self))
        return refuse_ended(Py_TYPE(object));
    Py_INCREF(self->value);
    return self->value;
}

static PyObject *reference_give_back(PyObject *object, PyObject *unused) {
    (void)unused;
    Reference *self = (Reference *)object;
    if (atomic_load(&self->uses) < BORROWED_ONCE) {
        PyErr_SetString(PyExc_RuntimeError, "The reference was not borrowed.");
        return NULL;
    }
    give_back(self);
    Py_RETURN_NONE;
}

static PyObject *reference_release(PyObject *object, PyObject *unused) {
    (void)unused;
    end((Reference *)object);
    Py_RETURN_NONE;
}

static PyObject *reference_compare(PyObject *object, PyObject *other, int operation) {
    if ((operation != Py_EQ && operation != Py_NE) || Py_TYPE(object) != Py_TYPE(other))
        Py_RETURN_NOTIMPLEMENTED;
    Reference *one = (Reference *)object, *two = (Reference *)other;
    // An address may be another object's once this one's reference has ended.
    bool live = !((atomic_load(&one->uses) | atomic_load(&two->uses)) & ENDED);
    bool equal = one == two || (live && one->address == two->address && one->release == two->release);
    return PyBool_FromLong(equal == (operation == Py_EQ));
}

static Py_hash_t reference_hash(PyObject *object) {
    Py_hash_t hash = (Py_hash_t)((uintptr_t)((Reference *)object)->address >> 4);
    return hash == -1 ? -2 : hash;
}

static PyMethodDef reference_methods[] = {
    {"borrow", reference_borrow, METH_NOARGS,
     "What it refers to, which stays until `give_back`, as long as this object is referred to."},
    {"give_back", reference_give_back, METH_NOARGS, "Ends a use that `borrow` began."},
    {"__enter__", reference_borrow, METH_NOARGS, "As `borrow`."},
    {"__exit__", (PyCFunction)reference_give_back, METH_VARARGS, "As `give_back`."},
    {"release", reference_release, METH_NOARGS,
     "Ends the reference now, or with the last call that uses it. Another time nothing happens."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot reference_slots[] = {
    {Py_tp_doc, "What is given back when the last object that refers to this one is gone, or by `release`."},
    {Py_tp_dealloc, reference_dealloc},
    {Py_tp_methods, reference_methods},
    {Py_tp_richcompare, reference_compare},
    {Py_tp_hash, reference_hash},
    {0, NULL},
};

static PyType_Spec reference_spec = {
    .name = "applevz._references.Reference",
    .basicsize = sizeof(Reference),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = reference_slots,
};

// ---- Functions
// ----------------------------------------------------------------------------------------------------------

typedef struct {
    PyObject_HEAD PyObject *function; // cffi's
    PyTypeObject *reference_type;
    PyObject *new_memory;
    PyObject *void_pointer;
    Release release_error; // NULL where it gives something else than an error
    PyObject *out_type;    // of the last argument, by which it gives a handle, or NULL
    Release release_handle;
} Function;

/// The address that a cffi pointer has; NULL with an exception for what is none.
static void *address_of(PyObject *pointer, PyObject *void_pointer) {
    return _cffi_to_c_pointer(pointer, (struct _cffi_ctypedescr *)void_pointer);
}

/// The arguments that cffi is given: what is referred to in place of each Reference, borrowed, and room for the handle.
static PyObject *lend(Function *self, PyObject *arguments, Py_ssize_t count, PyObject *out) {
    PyObject *given = PyTuple_New(count + (out != NULL));
    if (given == NULL)
        return NULL;
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *argument = PyTuple_GetItem(arguments, index);
        if (Py_TYPE(argument) == self->reference_type)
            argument = ((Reference *)argument)->value;
        Py_INCREF(argument);
        PyTuple_SetItem(given, index, argument);
    }
    if (out != NULL) {
        Py_INCREF(out);
        PyTuple_SetItem(given, count, out);
    }
    return given;
}

/// Borrows the first `count` arguments; gives how many it could.
static Py_ssize_t borrow_all(Function *self, PyObject *arguments, Py_ssize_t count, bool *any) {
    *any = false;
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *argument = PyTuple_GetItem(arguments, index);
        if (Py_TYPE(argument) != self->reference_type)
            continue;
        if (!borrow((Reference *)argument))
            return index;
        *any = true;
    }
    return count;
}

static void give_all_back(Function *self, PyObject *arguments, Py_ssize_t count) {
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *argument = PyTuple_GetItem(arguments, index);
        if (Py_TYPE(argument) == self->reference_type)
            give_back((Reference *)argument);
    }
}

/// What cffi returned, as a Reference if it is an error that is the caller's from here on, and None for no error.
static PyObject *adopt_error(Function *self, PyObject *result) {
    void *address = address_of(result, self->void_pointer);
    if (address != NULL)
        return reference_new(self->reference_type, result, address, self->release_error, true);
    Py_DECREF(result);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/// The handle that is in the memory, as a Reference; None where there is none.
static PyObject *adopt_handle(Function *self, PyObject *out) {
    void **memory = address_of(out, self->void_pointer);
    if (memory == NULL)
        return NULL;
    if (*memory == NULL)
        Py_RETURN_NONE;
    PyObject *zero = PyLong_FromLong(0);
    PyObject *pointer = zero == NULL ? NULL : PyObject_GetItem(out, zero);
    Py_XDECREF(zero);
    return reference_new(self->reference_type, pointer, *memory, self->release_handle, false);
}

static PyObject *function_call(PyObject *object, PyObject *arguments, PyObject *keywords) {
    Function *self = (Function *)object;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "The native functions take no keyword arguments.");
        return NULL;
    }
    PyObject *out = NULL;
    if (self->out_type != NULL) {
        out = PyObject_CallFunctionObjArgs(self->new_memory, self->out_type, NULL);
        if (out == NULL)
            return NULL;
    }
    Py_ssize_t count = PyTuple_Size(arguments);
    bool any;
    Py_ssize_t borrowed = borrow_all(self, arguments, count, &any);
    PyObject *result = NULL;
    if (borrowed < count) {
        refuse_ended(Py_TYPE(object));
    } else if (any || out != NULL) {
        PyObject *given = lend(self, arguments, count, out);
        if (given != NULL) {
            result = PyObject_Call(self->function, given, NULL);
            Py_DECREF(given);
        }
    } else {
        result = PyObject_Call(self->function, arguments, NULL);
    }
    if (result != NULL && self->release_error != NULL)
        result = adopt_error(self, result);
    if (result != NULL && out != NULL) {
        // Also beside an error, which leaves the memory as it was: empty.
        PyObject *handle = adopt_handle(self, out);
        PyObject *pair = handle == NULL ? NULL : PyTuple_Pack(2, result, handle);
        Py_XDECREF(handle);
        Py_DECREF(result);
        result = pair;
    }
    Py_XDECREF(out);
    give_all_back(self, arguments, borrowed);
    return result;
}

static void function_dealloc(PyObject *object) {
    Function *self = (Function *)object;
    PyTypeObject *type = Py_TYPE(object);
    Py_DECREF(self->function);
    Py_DECREF((PyObject *)self->reference_type);
    Py_DECREF(self->new_memory);
    Py_DECREF(self->void_pointer);
    Py_XDECREF(self->out_type);
    PyObject_Free(object);
    Py_DECREF((PyObject *)type);
}

static PyType_Slot function_slots[] = {
    {Py_tp_doc, "A native function that is given References, and gives them."},
    {Py_tp_dealloc, function_dealloc},
    {Py_tp_call, function_call},
    {0, NULL},
};

static PyType_Spec function_spec = {
    .name = "applevz._references.Function",
    .basicsize = sizeof(Function),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = function_slots,
};

// ---- The module
// ---------------------------------------------------------------------------------------------------------

static bool release_at(State *state, PyObject *pointer, Release *release) {
    *release = NULL;
    if (state->void_pointer == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "The module was not set up.");
        return false;
    }
    if (pointer == Py_None)
        return true;
    *release = (Release)(uintptr_t)address_of(pointer, state->void_pointer);
    return *release != NULL;
}

static PyObject *module_set_up(PyObject *module, PyObject *arguments) {
    State *state = PyModule_GetState(module);
    PyObject *new_memory, *void_pointer, *ended;
    if (!PyArg_ParseTuple(arguments, "OOO", &new_memory, &void_pointer, &ended))
        return NULL;
    PyObject *former[] = {state->new_memory, state->void_pointer, state->ended};
    Py_INCREF(new_memory);
    Py_INCREF(void_pointer);
    Py_INCREF(ended);
    state->new_memory = new_memory;
    state->void_pointer = void_pointer;
    state->ended = ended;
    for (size_t index = 0; index < sizeof former / sizeof former[0]; index++)
        Py_XDECREF(former[index]);
    Py_RETURN_NONE;
}

static PyObject *module_function(PyObject *module, PyObject *arguments) {
    State *state = PyModule_GetState(module);
    PyObject *callable, *release_error, *out_type, *release_handle;
    Release releases[2];
    if (!PyArg_ParseTuple(arguments, "OOOO", &callable, &release_error, &out_type, &release_handle) ||
        !release_at(state, release_error, &releases[0]) || !release_at(state, release_handle, &releases[1]))
        return NULL;
    Function *self = PyObject_New(Function, state->function_type);
    if (self == NULL)
        return NULL;
    self->function = callable;
    self->reference_type = state->reference_type;
    self->new_memory = state->new_memory;
    self->void_pointer = state->void_pointer;
    self->out_type = out_type == Py_None ? NULL : out_type;
    self->release_error = releases[0];
    self->release_handle = releases[1];
    Py_INCREF(self->function);
    Py_INCREF((PyObject *)self->reference_type);
    Py_INCREF(self->new_memory);
    Py_INCREF(self->void_pointer);
    Py_XINCREF(self->out_type);
    return (PyObject *)self;
}

static PyObject *module_adopt(PyObject *module, PyObject *arguments) {
    State *state = PyModule_GetState(module);
    PyObject *pointer, *release_pointer;
    Release release;
    if (!PyArg_ParseTuple(arguments, "OO", &pointer, &release_pointer) || !release_at(state, release_pointer, &release))
        return NULL;
    void *address = address_of(pointer, state->void_pointer);
    if (address == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    Py_INCREF(pointer);
    return reference_new(state->reference_type, pointer, address, release, true);
}

static PyObject *module_errors(PyObject *module, PyObject *unused) {
    (void)unused;
    State *state = PyModule_GetState(module);
    PyObject *list = PyList_New(0);
    for (Reference *error = errors; error != NULL && list != NULL; error = error->next)
        // Not what another interpreter has; and no code of Python's runs meanwhile that could change the list.
        if (Py_TYPE((PyObject *)error) == state->reference_type && PyList_Append(list, (PyObject *)error) < 0)
            Py_CLEAR(list);
    return list;
}

/// Closed on exec, and out of the way of standard input, output and error, which a program may have closed to open them
/// anew. -1 with errno where that cannot be; the descriptor is closed then.
static int kept_descriptor(int descriptor) {
    int kept = descriptor > STDERR_FILENO && fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0
                   ? descriptor
                   : fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int number = errno;
    if (kept != descriptor)
        close(descriptor);
    errno = number;
    return kept;
}

static PyObject *module_descriptors(PyObject *module, PyObject *open_them) {
    State *state = PyModule_GetState(module);
    PyObject *numbers = PyObject_CallNoArgs(open_them);
    if (numbers == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_Size(numbers);
    PyObject *references = count < 0 ? NULL : PyTuple_New(count);
    int error = 0;
    // All of them, after a failure too: what is not kept is closed.
    for (Py_ssize_t index = 0; index < count; index++) {
        long number = PyLong_AsLong(PyTuple_GetItem(numbers, index));
        if (number < 0) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "A descriptor has no negative number.");
            continue;
        }
        int kept = kept_descriptor((int)number);
        if (kept < 0) {
            error = errno;
            continue;
        }
        PyObject *reference = reference_new(state->reference_type, PyLong_FromLong(kept), (void *)(intptr_t)kept,
                                            close_descriptor, false);
        if (reference == NULL || references == NULL) {
            Py_XDECREF(reference);
            Py_CLEAR(references);
            continue;
        }
        PyTuple_SetItem(references, index, reference);
    }
    Py_DECREF(numbers);
    if (error != 0 || PyErr_Occurred()) {
        Py_XDECREF(references);
        if (PyErr_Occurred())
            return NULL;
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return references;
}

static int import_cffi(void) {
    PyObject *backend = PyImport_ImportModule("_cffi_backend");
    if (backend == NULL)
        return -1;
    PyObject *capsule = PyObject_GetAttrString(backend, "_C_API");
    Py_DECREF(backend);
    if (capsule == NULL)
        return -1;
    void *table = PyCapsule_GetPointer(capsule, "cffi");
    Py_DECREF(capsule);
    if (table == NULL)
        return -1;
    memcpy(_cffi_exports, table, sizeof _cffi_exports);
    return 0;
}

static int module_execute(PyObject *module) {
    State *state = PyModule_GetState(module);
    if (import_cffi() < 0)
        return -1;
    state->reference_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &reference_spec, NULL);
    if (state->reference_type == NULL)
        return -1;
    state->function_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &function_spec, NULL);
    if (state->function_type == NULL)
        return -1;
    return PyModule_AddType(module, state->reference_type);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    State *state = PyModule_GetState(module);
    Py_VISIT(state->reference_type);
    Py_VISIT(state->function_type);
    Py_VISIT(state->new_memory);
    Py_VISIT(state->void_pointer);
    Py_VISIT(state->ended);
    return 0;
}

static int module_clear(PyObject *module) {
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->reference_type);
    Py_CLEAR(state->function_type);
    Py_CLEAR(state->new_memory);
    Py_CLEAR(state->void_pointer);
    Py_CLEAR(state->ended);
    return 0;
}

static void module_free(void *module) {
    module_clear(module);
}

static PyMethodDef module_methods[] = {
    {"set_up", module_set_up, METH_VARARGS,
     "Is told `ffi.new`, cffi's type `void *`, and what makes the exception for a reference that has ended."},
    {"function", module_function, METH_VARARGS,
     "A cffi function that borrows each Reference among its arguments. With a function that releases errors, it gives "
     "its error "
     "as a Reference or None; with the type of its last argument and a function that releases handles, a pair: that, "
     "and the "
     "handle as a Reference or None."},
    {"adopt", module_adopt, METH_VARARGS,
     "A Reference to what a pointer points to, and what releases it; None for a null pointer."},
    {"errors", module_errors, METH_NOARGS,
     "The References to errors that are there; an empty list where threads of Python's run at once."},
    {"descriptors", module_descriptors, METH_O,
     "The descriptors that a function opens, as `os.pipe` does, as References to their numbers, of which none is below "
     "3."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_execute},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "applevz._references",
    .m_doc = "References that end at deallocation, and functions that borrow what they refer to.",
    .m_size = sizeof(State),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__references(void) {
    return PyModuleDef_Init(&module_definition);
}
