// SPDX-License-Identifier: Apache-2.0
// <objc/runtime.h> as GCC's libobjc exports it, declared so that it compiles under ARC: GCC's own header names
// `Protocol **` without an ownership and reads `object->class_pointer`, both of which ARC refuses. It comes first in
// the include path.
#ifndef APPLEVZ_OBJC_RUNTIME_H
#define APPLEVZ_OBJC_RUNTIME_H
#define __objc_runtime_INCLUDE_GNU

#include <objc/objc.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(objc_arc)
#define OBJC_RUNTIME_UNRETAINED __unsafe_unretained
#endif
#endif
#ifndef OBJC_RUNTIME_UNRETAINED
#define OBJC_RUNTIME_UNRETAINED
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct objc_ivar *Ivar;
typedef struct objc_property *Property;
typedef struct objc_property *objc_property_t;
typedef struct objc_method *Method;
typedef struct objc_category *Category;

struct objc_method_description {
    SEL name;
    char *types;
};

// Type encodings.
#define _C_ID '@'
#define _C_CLASS '#'
#define _C_SEL ':'
#define _C_CHR 'c'
#define _C_UCHR 'C'
#define _C_SHT 's'
#define _C_USHT 'S'
#define _C_INT 'i'
#define _C_UINT 'I'
#define _C_LNG 'l'
#define _C_ULNG 'L'
#define _C_LNG_LNG 'q'
#define _C_ULNG_LNG 'Q'
#define _C_FLT 'f'
#define _C_DBL 'd'
#define _C_LNG_DBL 'D'
#define _C_BFLD 'b'
#define _C_BOOL 'B'
#define _C_VOID 'v'
#define _C_UNDEF '?'
#define _C_PTR '^'
#define _C_CHARPTR '*'
#define _C_ARY_B '['
#define _C_ARY_E ']'
#define _C_UNION_B '('
#define _C_UNION_E ')'
#define _C_STRUCT_B '{'
#define _C_STRUCT_E '}'
#define _C_VECTOR '!'
#define _C_COMPLEX 'j'
#define _C_ATOM '%'
#define _C_CONST 'r'
#define _C_IN 'n'
#define _C_INOUT 'N'
#define _C_OUT 'o'
#define _C_BYCOPY 'O'
#define _C_BYREF 'R'
#define _C_ONEWAY 'V'
#define _C_GCINVISIBLE '|'

#define _F_CONST 0x01
#define _F_IN 0x01
#define _F_OUT 0x02
#define _F_INOUT 0x03
#define _F_BYCOPY 0x04
#define _F_BYREF 0x08
#define _F_ONEWAY 0x10
#define _F_GCINVISIBLE 0x20

// Selectors.
const char *sel_getName(SEL selector);
const char *sel_getTypeEncoding(SEL selector);
SEL sel_getUid(const char *name);
SEL sel_registerName(const char *name);
SEL sel_registerTypedName(const char *name, const char *types);
SEL sel_getTypedSelector(const char *name);
SEL *sel_copyTypedSelectorList(const char *name, unsigned int *count);
BOOL sel_isEqual(SEL first, SEL second);

// Objects. object_getClass is the layer's own: GCC's is an inline function that reads a field ARC does not let it read.
OBJC_OWN Class object_getClass(id object);
const char *object_getClassName(id object);
Class object_setClass(id object, Class newClass);
Ivar object_getInstanceVariable(id object, const char *name, void **value);
Ivar object_setInstanceVariable(id object, const char *name, void *value);
id object_getIvar(id object, Ivar variable);
void object_setIvar(id object, Ivar variable, id value);
#if !defined(__has_feature) || !__has_feature(objc_arc)
id class_createInstance(Class class_, size_t extraBytes);
id object_copy(id object, size_t extraBytes);
id object_dispose(id object);
void *object_getIndexedIvars(id object);
#endif

// Instance variables.
const char *ivar_getName(Ivar variable);
ptrdiff_t ivar_getOffset(Ivar variable);
const char *ivar_getTypeEncoding(Ivar variable);

// Classes.
typedef Class (*objc_get_unknown_class_handler)(const char *name);
objc_get_unknown_class_handler objc_setGetUnknownClassHandler(objc_get_unknown_class_handler handler);
Class objc_getClass(const char *name);
Class objc_lookUpClass(const char *name);
Class objc_getMetaClass(const char *name);
Class objc_getRequiredClass(const char *name);
int objc_getClassList(OBJC_RUNTIME_UNRETAINED Class *classes, int capacity);
Class objc_allocateClassPair(Class superclass, const char *name, size_t extraBytes);
void objc_registerClassPair(Class class_);
void objc_disposeClassPair(Class class_);
const char *class_getName(Class class_);
BOOL class_isMetaClass(Class class_);
Class class_getSuperclass(Class class_);
int class_getVersion(Class class_);
void class_setVersion(Class class_, int version);
size_t class_getInstanceSize(Class class_);
Ivar class_getInstanceVariable(Class class_, const char *name);
Ivar class_getClassVariable(Class class_, const char *name);
Ivar *class_copyIvarList(Class class_, unsigned int *count);
BOOL class_addIvar(Class class_, const char *name, size_t size, unsigned char log2OfAlignment, const char *type);
const char *class_getIvarLayout(Class class_);
const char *class_getWeakIvarLayout(Class class_);
void class_setIvarLayout(Class class_, const char *layout);
void class_setWeakIvarLayout(Class class_, const char *layout);
void class_ivar_set_gcinvisible(Class class_, const char *name, BOOL invisible);

// Methods.
Method class_getInstanceMethod(Class class_, SEL selector);
Method class_getClassMethod(Class class_, SEL selector);
IMP class_getMethodImplementation(Class class_, SEL selector);
BOOL class_respondsToSelector(Class class_, SEL selector);
BOOL class_addMethod(Class class_, SEL selector, IMP implementation, const char *types);
IMP class_replaceMethod(Class class_, SEL selector, IMP implementation, const char *types);
Method *class_copyMethodList(Class class_, unsigned int *count);
SEL method_getName(Method method);
IMP method_getImplementation(Method method);
IMP method_setImplementation(Method method, IMP implementation);
void method_exchangeImplementations(Method first, Method second);
const char *method_getTypeEncoding(Method method);
struct objc_method_description *method_getDescription(Method method);
unsigned int method_getNumberOfArguments(Method method);
char *method_copyReturnType(Method method);
char *method_copyArgumentType(Method method, unsigned int index);
void method_getReturnType(Method method, char *buffer, size_t size);
void method_getArgumentType(Method method, unsigned int index, char *buffer, size_t size);

// Properties.
const char *property_getName(Property property);
const char *property_getAttributes(Property property);
Property class_getProperty(Class class_, const char *name);
Property *class_copyPropertyList(Class class_, unsigned int *count);

// Protocols.
Protocol *objc_getProtocol(const char *name);
Protocol * OBJC_RUNTIME_UNRETAINED * objc_copyProtocolList(unsigned int *count);
BOOL class_addProtocol(Class class_, Protocol *protocol);
BOOL class_conformsToProtocol(Class class_, Protocol *protocol);
Protocol * OBJC_RUNTIME_UNRETAINED * class_copyProtocolList(Class class_, unsigned int *count);
BOOL protocol_conformsToProtocol(Protocol *protocol, Protocol *other);
BOOL protocol_isEqual(Protocol *protocol, Protocol *other);
const char *protocol_getName(Protocol *protocol);
struct objc_method_description protocol_getMethodDescription(Protocol *protocol, SEL selector, BOOL required,
                                                             BOOL instance);
struct objc_method_description *protocol_copyMethodDescriptionList(Protocol *protocol, BOOL required, BOOL instance,
                                                                   unsigned int *count);
Property protocol_getProperty(Protocol *protocol, const char *name, BOOL required, BOOL instance);
Property *protocol_copyPropertyList(Protocol *protocol, unsigned int *count);
Protocol * OBJC_RUNTIME_UNRETAINED * protocol_copyProtocolList(Protocol *protocol, unsigned int *count);

// Fast enumeration.
void objc_enumerationMutation(id collection);
void objc_setEnumerationMutationHandler(void (*handler)(id collection));

struct __objcFastEnumerationState {
    unsigned long state;
    id OBJC_RUNTIME_UNRETAINED *itemsPtr;
    unsigned long *mutationsPtr;
    unsigned long extra[5];
};

// Memory and type encodings: what GNUstep's headers expect of this one.
void *objc_malloc(size_t size);
void *objc_atomic_malloc(size_t size);
void *objc_realloc(void *memory, size_t size);
void *objc_calloc(size_t count, size_t size);
void objc_free(void *memory);
int objc_sizeof_type(const char *type);
int objc_alignof_type(const char *type);
int objc_aligned_size(const char *type);
int objc_promoted_size(const char *type);
const char *objc_skip_type_qualifiers(const char *type);
const char *objc_skip_typespec(const char *type);
const char *objc_skip_offset(const char *type);
const char *objc_skip_argspec(const char *type);
unsigned objc_get_type_qualifiers(const char *type);

#ifdef __cplusplus
}
#endif

#endif
