// SPDX-License-Identifier: Apache-2.0
// Methods that raise, where they are called against a precondition, or against one that nobody documents.
#import "policy.h"

static void raise_always(id self, SEL selector) {
    [NSException raise:NSInternalInconsistencyException
                format:@"*** -[%@ %@]: played", [self class], NSStringFromSelector(selector)];
}

__attribute__((constructor)) static void play_exceptions(void) {
    [played_mac_object(@"raises") enumerateKeysAndObjectsUsingBlock:^(NSString *name, NSString *selector, BOOL *stop) {
        (void)stop;
        played_mac_replace(NSClassFromString(name), NSSelectorFromString(selector), PLAYED_MAC_FUNCTION(raise_always));
    }];
}
