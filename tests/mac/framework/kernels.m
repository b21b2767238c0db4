// SPDX-License-Identifier: Apache-2.0
// A Mac of a kind of processor, whose framework looks into no kernel: each is valid.
#import "policy.h"

// Of the bridge, and of the classes behind the configuration.
@interface AppleVZKernels : NSObject
+ (NSInteger)processor;
@end

@interface VZLinuxBootLoader (Validation)
- (BOOL)validateAs:(NSString *)property error:(NSError **)error;
@end

static NSInteger processor(id self, SEL selector) {
    (void)self;
    (void)selector;
    return played_mac_is(@"processor", @"arm64") ? 0 : 1;
}

static BOOL validate(id self, SEL selector, NSString *property, NSError **error) {
    (void)self;
    (void)selector;
    (void)property;
    (void)error;
    return YES;
}

__attribute__((constructor)) static void play_kernels(void) {
    if (played_mac_text(@"processor") == nil)
        return;
    played_mac_replace_class_method([AppleVZKernels class], @selector(processor), PLAYED_MAC_FUNCTION(processor));
    played_mac_replace([VZLinuxBootLoader class], @selector(validateAs:error:), PLAYED_MAC_FUNCTION(validate));
}
