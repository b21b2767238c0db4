// SPDX-License-Identifier: Apache-2.0
// On the played Mac no class of the framework answers to any of the selectors given as arguments, though each of them
// is some class's method.
#import "../checks.h"
#import <Virtualization/Virtualization.h>

static int failures;

static BOOL is_method_of(Class class, SEL selector) {
    BOOL answers = NO;
    if (class_getInstanceMethod(class, selector) != NULL) {
        answers = YES;
        if ([class instancesRespondToSelector:selector]) {
            printf("-[%s %s] is not hidden\n", class_getName(class), sel_getName(selector));
            failures++;
        }
    }
    if (class_getClassMethod(class, selector) != NULL) {
        answers = YES;
        if ([class respondsToSelector:selector]) {
            printf("+[%s %s] is not hidden\n", class_getName(class), sel_getName(selector));
            failures++;
        }
    }
    return answers;
}

int main(int count, char **arguments) {
    @autoreleasepool {
        CHECK(count > 1);
        int class_count = objc_getClassList(NULL, 0);
        Class __unsafe_unretained *classes = (Class __unsafe_unretained *)calloc((size_t)class_count, sizeof(Class));
        class_count = objc_getClassList(classes, class_count);
        for (int i = 1; i < count; i++) {
            SEL selector = sel_registerName(arguments[i]);
            BOOL is_known = NO;
            for (int j = 0; j < class_count; j++)
                if (strncmp(class_getName(classes[j]), "VZ", 2) == 0 && is_method_of(classes[j], selector))
                    is_known = YES;
            if (!is_known) {
                printf("no class has %s\n", arguments[i]);
                failures++;
            }
        }
        free(classes);
        // An object is asked as its class is, an observed one too; and what is Apple's is there.
        VZLinuxBootLoader *loader = [[VZLinuxBootLoader alloc] initWithKernelURL:[NSURL fileURLWithPath:@"/"]];
        [loader addObserver:loader forKeyPath:@"commandLine" options:0 context:NULL];
        CHECK(![loader respondsToSelector:sel_registerName("setApplevzAddsToCommandLine:")]);
        CHECK([loader respondsToSelector:@selector(setCommandLine:)]);
        [loader removeObserver:loader forKeyPath:@"commandLine"];
        CHECK([VZVirtualMachine instancesRespondToSelector:@selector(startWithCompletionHandler:)]);
        CHECK([VZVirtualMachine respondsToSelector:@selector(isSupported)]);
    }
    return failures != 0;
}
