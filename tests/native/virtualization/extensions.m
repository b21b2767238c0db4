// SPDX-License-Identifier: Apache-2.0
// The bridge finds what native/linux adds to Apple's framework. Each argument is a method, "-[VZVirtualMachine name:]"
// or
// "+[VZVirtualMachine name]", for which respondsToSelector: is to say yes.
#import <Virtualization/Virtualization.h>
#import <objc/runtime.h>
#include <stdio.h>

static BOOL is_answered(const char *method) {
    char level = 0, class_name[128], selector_name[128];
    if (sscanf(method, "%c[%127s %127[^]]", &level, class_name, selector_name) != 3)
        return NO;
    Class class = objc_getClass(class_name);
    SEL selector = sel_registerName(selector_name);
    return level == '+' ? [class respondsToSelector:selector] : [class instancesRespondToSelector:selector];
}

int main(int count, char **arguments) {
    @autoreleasepool {
        int failures = 0;
        for (int i = 1; i < count; i++)
            if (!is_answered(arguments[i])) {
                printf("%s is not answered\n", arguments[i]);
                failures++;
            }
        return count == 1 || failures != 0;
    }
}
