// SPDX-License-Identifier: Apache-2.0
// The objects that are never released: the global and the main queue, and the attributes of queues.
//
// Under ARC a function that returns an object which is not new autoreleases it, and a thread without an autorelease
// pool may ask for these at any time. They are therefore returned as plain pointers, by functions whose symbols are
// those that the headers declare; a caller under ARC retains what it got, as it would in any case.
#include "queue_object.h"

@implementation DispatchQueueAttribute
@end

static const struct object_operations permanent_operations = {.name = "dispatch_queue"};

struct queue *queue_root(void) {
    static struct queue root = {
        .object = {.operations = &permanent_operations, .references = 1},
        .kind = QUEUE_ROOT,
        .label = (char *)"com.apple.root.default-qos",
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };
    return &root;
}

struct queue *queue_main(void) {
    static struct queue main = {
        .object = {.operations = &permanent_operations, .references = 1},
        .kind = QUEUE_MAIN,
        .label = (char *)"com.apple.main-thread",
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };
    return &main;
}

DISPATCH_EXPORT void *permanent_global_queue(intptr_t identifier, uintptr_t flags) __asm__("dispatch_get_global_queue");
DISPATCH_EXPORT void *permanent_main_queue(void) __asm__("dispatch_get_main_queue");
DISPATCH_EXPORT void *permanent_concurrent(void) __asm__("_dispatch_queue_attr_concurrent");
DISPATCH_EXPORT void *permanent_with_qos(void *attribute, dispatch_qos_class_t qos_class,
                                         int relative_priority) __asm__("dispatch_queue_attr_make_with_qos_class");
DISPATCH_EXPORT void *permanent_inactive(void *attribute) __asm__("dispatch_queue_attr_make_initially_inactive");

void *permanent_global_queue(intptr_t identifier, uintptr_t flags) {
    static const intptr_t known[] = {
        DISPATCH_QUEUE_PRIORITY_HIGH,
        DISPATCH_QUEUE_PRIORITY_DEFAULT,
        DISPATCH_QUEUE_PRIORITY_LOW,
        DISPATCH_QUEUE_PRIORITY_BACKGROUND,
        QOS_CLASS_USER_INTERACTIVE,
        QOS_CLASS_USER_INITIATED,
        QOS_CLASS_DEFAULT,
        QOS_CLASS_UTILITY,
        QOS_CLASS_BACKGROUND,
    };
    for (size_t i = 0; flags == 0 && i < sizeof known / sizeof known[0]; i++) {
        if (known[i] == identifier) {
            static DispatchQueue *global;
            static dispatch_once_t once;
            dispatch_once(&once, ^{
                global = [[DispatchQueue alloc] initWithCore:queue_root()];
            });
            return (__bridge void *)global;
        }
    }
    return NULL;
}

void *permanent_main_queue(void) {
    static DispatchQueue *main;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        main = [[DispatchQueue alloc] initWithCore:queue_main()];
    });
    return (__bridge void *)main;
}

static void *attribute(bool concurrent, bool inactive) {
    static DispatchQueueAttribute *attributes[2][2];
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        for (int i = 0; i < 4; i++) {
            DispatchQueueAttribute *made = [DispatchQueueAttribute new];
            made->_concurrent = i & 1;
            made->_inactive = i & 2;
            attributes[i & 1][i >> 1] = made;
        }
    });
    return (__bridge void *)attributes[concurrent][inactive];
}

void *permanent_concurrent(void) {
    return attribute(true, false);
}

void *permanent_with_qos(void *given, dispatch_qos_class_t qos_class, int relative_priority) {
    (void)qos_class;
    (void)relative_priority;
    return given ? given : attribute(false, false);
}

void *permanent_inactive(void *given) {
    return attribute(given && ((__bridge DispatchQueueAttribute *)given)->_concurrent, true);
}
