// SPDX-License-Identifier: Apache-2.0
// What a Mac's Foundation gives for a file system has its characters decomposed: another name to a file system that
// compares bytes, as Linux's do, and the name that a new file gets.
#import "policy.h"
#import <objc/runtime.h>

typedef const char *(*Representation)(id self, SEL selector);
typedef BOOL (*Copy)(id self, SEL selector, char *buffer, NSUInteger size);

static Representation original_of_string;
static Copy original_copy;

static const char *of_string(NSString *self, SEL selector) {
    return original_of_string(self.decomposedStringWithCanonicalMapping, selector);
}

static BOOL copy(NSString *self, SEL selector, char *buffer, NSUInteger size) {
    return original_copy(self.decomposedStringWithCanonicalMapping, selector, buffer, size);
}

static const char *of_url(NSURL *self, SEL selector) {
    return of_string(self.path, selector);
}

__attribute__((constructor)) static void play_paths(void) {
    if (!played_mac_is(@"paths", @"decomposed"))
        return;
    original_of_string =
        PLAYED_MAC_METHOD(Representation, played_mac_replace([NSString class], @selector(fileSystemRepresentation),
                                                             PLAYED_MAC_FUNCTION(of_string)));
    original_copy =
        PLAYED_MAC_METHOD(Copy, played_mac_replace([NSString class], @selector(getFileSystemRepresentation:maxLength:),
                                                   PLAYED_MAC_FUNCTION(copy)));
    // GNUstep's has it in later versions, by the string's.
    class_replaceMethod([NSURL class], @selector(fileSystemRepresentation), PLAYED_MAC_FUNCTION(of_url), "r*16@0:8");
}
