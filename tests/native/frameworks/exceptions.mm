// SPDX-License-Identifier: Apache-2.0
// Exceptions of both languages through frames of both, and what runs before main. Prints what is caught, in its order.
#import <Foundation/Foundation.h>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

@interface Problem : NSException
@end
@implementation Problem
@end

// C++ initializers, of this file and with what it has.
static NSString *const greeting = [[NSString alloc] initWithFormat:@"%@ %d", @"made before", 'm'];
struct Registry {
    NSMutableArray *names = [[NSMutableArray alloc] init];
    Registry() { [names addObject:NSStringFromClass([Problem class])]; }
};
static Registry registry;

struct Guard {
    const char *name;
    explicit Guard(const char *text) : name(text) {}
    ~Guard() { printf("~%s", name); }
};

static void raise(NSString *name) {
    Guard guard("r ");
    @throw [[[name isEqualToString:@"Problem"] ? [Problem class] : [NSException class] alloc] initWithName:name
                                                                                                    reason:@"because"
                                                                                                  userInfo:nil];
}

static void raiseInFoundation() {
    Guard guard("f ");
    [[NSArray array] objectAtIndex:7];
}

static void handlersOfObjectiveC() {
    @try {
        raise(@"Problem");
    } @catch (Problem *problem) {
        printf("problem %s", problem.name.UTF8String);
    }
    puts("");
    @try {
        raise(@"Problem");
    } @catch (NSString *text) {
        printf("wrong");
    } @catch (NSException *exception) {
        printf("exception");
    }
    puts("");
    @try {
        raise(@"Other");
    } @catch (Problem *problem) {
        printf("wrong");
    } @catch (id any) {
        printf("id %d", [any isKindOfClass:[NSException class]]);
    }
    puts("");
    @try {
        @throw @"a text";
    } @catch (NSException *exception) {
        printf("wrong");
    } @catch (NSString *text) {
        printf("%s", text.UTF8String);
    } @finally {
        printf(", finally");
    }
    puts("");
    @try {
        raiseInFoundation();
    } @catch (NSException *exception) {
        printf("%s", exception.name.UTF8String);
    }
    puts("");
    @try {
        throw std::runtime_error("of C++");
    } @catch (NSException *exception) {
        printf("wrong");
    } @catch (...) {
        printf("any");
    }
    puts("");
}

static void handlersOfCPlusPlus() {
    try {
        raise(@"Problem");
    } catch (const std::exception &exception) {
        printf("wrong");
    } catch (Problem *problem) {
        printf("%s", problem.name.UTF8String);
    }
    puts("");
    try {
        raise(@"Other");
    } catch (const char *text) {
        printf("wrong");
    } catch (int) {
        printf("wrong");
    } catch (Problem *) {
        printf("wrong");
    } catch (id any) {
        printf("id");
    }
    puts("");
    try {
        raise(@"Other");
    } catch (...) {
        printf("any, %d under way", std::uncaught_exceptions());
    }
    puts("");
    try {
        throw @"thrown";
    } catch (NSString *text) {
        printf("%s", text.UTF8String);
    }
    puts("");
    try {
        throw std::string("of C++");
    } catch (NSString *) {
        printf("wrong");
    } catch (id) {
        printf("wrong");
    } catch (const std::string &text) {
        printf("%s", text.c_str());
    }
    puts("");
}

static void throughFrames() {
    try {
        @try {
            raise(@"Problem");
        } @finally {
            printf("finally ");
        }
    } catch (NSException *exception) {
        printf("%s", exception.name.UTF8String);
    }
    puts("");
    try {
        @try {
            throw std::runtime_error("of C++");
        } @finally {
            printf("finally ");
        }
    } catch (const std::exception &exception) {
        printf("%s", exception.what());
    }
    puts("");
    @try {
        try {
            raise(@"Problem");
        } catch (...) {
            printf("again ");
            throw;
        }
    } @catch (Problem *problem) {
        printf("%s", problem.name.UTF8String);
    }
    puts("");
    @try {
        @try {
            raise(@"Problem");
        } @catch (NSException *exception) {
            printf("again ");
            @throw;
        }
    } @catch (Problem *problem) {
        printf("%s", problem.reason.UTF8String);
    }
    puts("");
    // One in the handler of another, of either language.
    @try {
        raise(@"Problem");
    } @catch (Problem *outer) {
        try {
            throw std::runtime_error("inner");
        } catch (const std::exception &inner) {
            @try {
                raise(@"Innermost");
            } @catch (NSException *innermost) {
                printf("%s in %s in %s", innermost.name.UTF8String, inner.what(), outer.name.UTF8String);
            }
        }
    }
    puts("");
    // Foundation's own handlers see what C++ threw again.
    NSArray *two = @[ @1, @2 ];
    @try {
        [two enumerateObjectsUsingBlock:^(id, NSUInteger index, BOOL *) {
            try {
                raise(@"Problem");
            } catch (...) {
                printf("%lu ", (unsigned long)index);
                throw;
            }
        }];
    } @catch (NSException *exception) {
        printf("%s, %d under way", exception.name.UTF8String, std::uncaught_exceptions());
    }
    puts("");
}

int main() {
    @autoreleasepool {
        puts(greeting.UTF8String);
        puts([registry.names.firstObject UTF8String]);
        handlersOfObjectiveC();
        handlersOfCPlusPlus();
        throughFrames();
        for (int i = 0; i < 10000; i++)
            @autoreleasepool {
                try {
                    @try {
                        @throw @"again and again";
                    } @finally {
                        (void)i;
                    }
                } catch (NSString *) {
                }
            }
        printf("%d under way\n", std::uncaught_exceptions());
    }
    return 0;
}
