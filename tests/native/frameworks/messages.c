// SPDX-License-Identifier: Apache-2.0
// Plain C, by somebody who has no compiler for Objective-C: classes, selectors and messages through <objc/runtime.h>
// and <objc/message.h>. Built against the headers; with DYNAMIC, without a header and a library, as a foreign
// language's runtime does it: everything is looked up by name in the library that argv[1] names. Prints what it finds.
#ifdef DYNAMIC
#include <stdbool.h>
#include <stddef.h>
typedef void *id, *Class, *SEL;
typedef id (*IMP)(id, SEL, ...);
struct objc_super {
    id receiver;
    Class super_class;
};
#define SUPER_RECEIVER receiver
#else
#include <objc/message.h>
#include <objc/objc-arc.h>
#include <objc/runtime.h>
#define SUPER_RECEIVER self
#endif
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#ifdef DYNAMIC
static void *library;
static void *named(const char *name) {
    void *address = dlsym(library, name);
    if (!address) {
        printf("%s is missing\n", name);
        exit(1);
    }
    return address;
}
#define GET(name, type) ((type)named(#name))
#define objc_getClass GET(objc_getClass, Class (*)(const char *))
#define objc_allocateClassPair GET(objc_allocateClassPair, Class (*)(Class, const char *, size_t))
#define objc_registerClassPair GET(objc_registerClassPair, void (*)(Class))
#define sel_registerName GET(sel_registerName, SEL (*)(const char *))
#define sel_getName GET(sel_getName, const char *(*)(SEL))
#define class_addMethod GET(class_addMethod, unsigned char (*)(Class, SEL, IMP, const char *))
#define class_getName GET(class_getName, const char *(*)(Class))
#define class_getSuperclass GET(class_getSuperclass, Class (*)(Class))
#define object_getClass GET(object_getClass, Class (*)(id))
#define objc_retain GET(objc_retain, id (*)(id))
#define objc_release GET(objc_release, void (*)(id))
#define objc_autoreleasePoolPush GET(objc_autoreleasePoolPush, void *(*)(void))
#define objc_autoreleasePoolPop GET(objc_autoreleasePoolPop, void (*)(void *))
#define objc_msgSend GET(objc_msgSend, void (*)(void))
#define objc_msgSend_stret GET(objc_msgSend_stret, void (*)(void))
#define objc_msgSend_fpret GET(objc_msgSend_fpret, void (*)(void))
#define objc_msgSendSuper GET(objc_msgSendSuper, void (*)(void))
#define objc_msgSendSuper2 GET(objc_msgSendSuper2, void (*)(void))
#endif

struct big {
    double values[6];
};

static id many(id self, SEL selector, long a, long b, long c, long d, long e, double f, double g, double h, double i,
               double j, double k, double l, double m, double n, int o, float p) {
    printf("%s %ld %ld %ld %ld %ld %g %g %g %g %g %g %g %g %g %d %g\n", sel_getName(selector), a, b, c, d, e, f, g, h,
           i, j, k, l, m, n, o, p);
    return self;
}

static double sum(id self, SEL selector, double a, float b) {
    (void)self, (void)selector;
    return a + b;
}

static long double long_sum(id self, SEL selector, long double a) {
    (void)self, (void)selector;
    return a + 1;
}

static struct big fill(id self, SEL selector, double first, int step) {
    (void)self, (void)selector;
    struct big result;
    for (int i = 0; i < 6; i++)
        result.values[i] = first + i * step;
    return result;
}

static int depth(id self, SEL selector, int add) {
    (void)self, (void)selector;
    return add + 1;
}

static Class lower;

static int deeper(id self, SEL selector, int add) {
    struct objc_super super = {.SUPER_RECEIVER = self, .super_class = class_getSuperclass(lower)};
    struct objc_super own = {.SUPER_RECEIVER = self, .super_class = lower};
    int first = ((int (*)(struct objc_super *, SEL, int))objc_msgSendSuper)(&super, selector, add);
    int second = ((int (*)(struct objc_super *, SEL, int))objc_msgSendSuper2)(&own, selector, add);
    return 100 * first + second;
}

#ifdef __x86_64__
__attribute__((target("avx"))) static __m256d wide(id self, SEL selector, __m256d a, __m256d b) {
    (void)self, (void)selector;
    return _mm256_add_pd(a, b);
}

// The first message to a class looks up the slow way, which uses the registers itself.
__attribute__((target("avx"))) static void wide_vectors(id object, Class class, SEL selector) {
    class_addMethod(class, selector, (IMP)(void (*)(void))wide, "@@:");
    __m256d sum = ((__m256d (*)(id, SEL, __m256d, __m256d))objc_msgSend)(object, selector, _mm256_set_pd(4, 3, 2, 1),
                                                                         _mm256_set_pd(40, 30, 20, 10));
    double values[4];
    _mm256_storeu_pd(values, sum);
    printf("wide %g %g %g %g\n", values[0], values[1], values[2], values[3]);
}
#endif

static id send(id receiver, const char *selector) {
    return ((id (*)(id, SEL))objc_msgSend)(receiver, sel_registerName(selector));
}

static int sent_before_main;

#ifndef DYNAMIC
__attribute__((constructor)) static void before_main(void) {
    sent_before_main = send((id)objc_getClass("NSObject"), "self") != NULL;
}
#endif

int main(int argc, char **argv) {
#ifdef DYNAMIC
    library = dlopen(argv[argc - 1], RTLD_NOW);
    if (!library) {
        puts(dlerror());
        return 1;
    }
    sent_before_main = 1;
#else
    (void)argc, (void)argv;
#endif
    printf("before main %d\n", sent_before_main);
    void *pool = objc_autoreleasePoolPush();
    Class class = objc_allocateClassPair(objc_getClass("NSObject"), "Sender", 0);
    class_addMethod(class, sel_registerName("many::::::::::::::::"), (IMP)(void (*)(void))many, "@@:qqqqqdddddddddif");
    class_addMethod(class, sel_registerName("sum::"), (IMP)(void (*)(void))sum, "d@:df");
    class_addMethod(class, sel_registerName("longSum:"), (IMP)(void (*)(void))long_sum, "D@:D");
    class_addMethod(class, sel_registerName("fill::"), (IMP)(void (*)(void))fill, "{big=[6d]}@:di");
    class_addMethod(class, sel_registerName("depth:"), (IMP)(void (*)(void))depth, "i@:i");
    objc_registerClassPair(class);
    lower = objc_allocateClassPair(class, "LowerSender", 0);
    class_addMethod(lower, sel_registerName("depth:"), (IMP)(void (*)(void))deeper, "i@:i");
    objc_registerClassPair(lower);

    id object = send(send((id)lower, "alloc"), "init");
    printf("%s of %s\n", class_getName(object_getClass(object)),
           class_getName(class_getSuperclass(object_getClass(object))));
    id itself = ((id (*)(id, SEL, long, long, long, long, long, double, double, double, double, double, double, double,
                         double, double, int, float))objc_msgSend)(
        object, sel_registerName("many::::::::::::::::"), 1, 2, 3, 4, 5, .6, .7, .8, .9, 10, 11, 12, 13, 14, 15, 16);
    printf("returned %d\n", itself == object);
    printf("sum %g\n",
           ((double (*)(id, SEL, double, float))objc_msgSend)(object, sel_registerName("sum::"), 1.5, 2.25f));
    SEL fill_selector = sel_registerName("fill::"), long_selector = sel_registerName("longSum:");
#ifdef __x86_64__
    struct big big = ((struct big (*)(id, SEL, double, int))objc_msgSend_stret)(object, fill_selector, .5, 2);
    long double sum_of_long = ((long double (*)(id, SEL, long double))objc_msgSend_fpret)(object, long_selector, 41);
    long double of_nil = ((long double (*)(id, SEL, long double))objc_msgSend_fpret)(NULL, long_selector, 41);
#else
    struct big big = ((struct big (*)(id, SEL, double, int))objc_msgSend)(object, fill_selector, .5, 2);
    long double sum_of_long = ((long double (*)(id, SEL, long double))objc_msgSend)(object, long_selector, 41);
    long double of_nil = ((long double (*)(id, SEL, long double))objc_msgSend)(NULL, long_selector, 41);
#endif
    printf("big %g %g %g\n", big.values[0], big.values[1], big.values[5]);
    printf("long %Lg %Lg\n", sum_of_long, of_nil);
    printf("depth %d\n", ((int (*)(id, SEL, int))objc_msgSend)(object, sel_registerName("depth:"), 4));
    printf("nil %p %g\n", (void *)send(NULL, "description"),
           ((double (*)(id, SEL))objc_msgSend)(NULL, sel_registerName("x")));
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx"))
        wide_vectors(object, class, sel_registerName("wide::"));
    else
#endif
        puts("wide 11 22 33 44");
    // A method of variable arguments, which learns from a register how many vectors there are.
    id format = ((id (*)(id, SEL, const char *))objc_msgSend)((id)objc_getClass("NSString"),
                                                              sel_registerName("stringWithUTF8String:"), "%d %.2f %s");
    id text = ((id (*)(id, SEL, id, ...))objc_msgSend)((id)objc_getClass("NSString"),
                                                       sel_registerName("stringWithFormat:"), format, 7, 2.5, "words");
    puts(((const char *(*)(id, SEL))objc_msgSend)(text, sel_registerName("UTF8String")));
    objc_release(objc_retain(object));
    id machines = (id)objc_getClass("VZVirtualMachineConfiguration");
    unsigned long count =
        ((unsigned long (*)(id, SEL))objc_msgSend)(machines, sel_registerName("minimumAllowedCPUCount"));
    printf("processors %lu\n", count);
    objc_release(object);
    objc_autoreleasePoolPop(pool);
    return 0;
}
