// SPDX-License-Identifier: Apache-2.0
// Apple's classes know nothing of the selectors of native/include/applevz_extensions.h that begin with applevz: whoever
// asks is told so. They are there all the same, for a call that did not ask to be found by its own test.
#import "policy.h"
#import <objc/runtime.h>
#import <string.h>

typedef BOOL (*Question)(id self, SEL selector, SEL asked);

static Question original_responds, original_class_responds, original_instances_respond;

static BOOL is_of_the_framework(Class class_) {
    // Key-value observing makes a class of another name below the real one.
    for (; class_ != Nil; class_ = class_getSuperclass(class_))
        if (strncmp(class_getName(class_), "VZ", 2) == 0)
            return YES;
    return NO;
}

static BOOL is_hidden(Class class_, SEL asked) {
    const char *name = asked != NULL ? sel_getName(asked) : "";
    return (strncmp(name, "applevz", 7) == 0 || strncmp(name, "setApplevz", 10) == 0) && is_of_the_framework(class_);
}

static BOOL responds(id self, SEL selector, SEL asked) {
    return !is_hidden(object_getClass(self), asked) && original_responds(self, selector, asked);
}

static BOOL class_responds(id self, SEL selector, SEL asked) {
    return !is_hidden((Class)self, asked) && original_class_responds(self, selector, asked);
}

static BOOL instances_respond(id self, SEL selector, SEL asked) {
    return !is_hidden((Class)self, asked) && original_instances_respond(self, selector, asked);
}

#define REPLACE(name, replace, message)                                                                                \
    original_##name =                                                                                                  \
        PLAYED_MAC_METHOD(Question, replace([NSObject class], @selector(message), PLAYED_MAC_FUNCTION(name)))

__attribute__((constructor)) static void hide_selectors(void) {
    REPLACE(responds, played_mac_replace, respondsToSelector:);
    REPLACE(class_responds, played_mac_replace_class_method, respondsToSelector:);
    REPLACE(instances_respond, played_mac_replace_class_method, instancesRespondToSelector:);
}
