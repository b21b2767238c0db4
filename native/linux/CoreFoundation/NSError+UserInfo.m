// SPDX-License-Identifier: Apache-2.0
// NSError's texts and user info as Apple's Foundation has them.
//
// The keys have Apple's values (Foundation/NSErrorKeys.h). Of what GNUstep makes of errors, some has them, because the
// names that a library of frameworks shows come before GNUstep's own; some has GNUstep's values, which its compiler
// wrote into the code, or which it finds where this is part of a library that shows nothing. So what an error was made
// with is renamed when it is read.
#import "types.h"
#import <objc/runtime.h>
#import <stdatomic.h>
#import <string.h>

NSString *const NSLocalizedDescriptionKey = @"NSLocalizedDescription";
NSString *const NSLocalizedFailureReasonErrorKey = @"NSLocalizedFailureReason";
NSString *const NSLocalizedRecoverySuggestionErrorKey = @"NSLocalizedRecoverySuggestion";
NSString *const NSLocalizedRecoveryOptionsErrorKey = @"NSLocalizedRecoveryOptions";
NSString *const NSRecoveryAttempterErrorKey = @"NSRecoveryAttempter";
NSString *const NSUnderlyingErrorKey = @"NSUnderlyingError";
NSString *const NSFilePathErrorKey = @"NSFilePath";
NSString *const NSURLErrorKey = @"NSURL";
NSString *const NSStringEncodingErrorKey = @"NSStringEncoding";
NSString *const NSLocalizedFailureErrorKey = @"NSLocalizedFailure";
NSString *const NSDebugDescriptionErrorKey = @"NSDebugDescription";
NSString *const NSHelpAnchorErrorKey = @"NSHelpAnchor";
NSString *const NSMultipleUnderlyingErrorsKey = @"NSMultipleUnderlyingErrorsKey";

static NSString *const Incomplete = @"The operation couldn’t be completed.";

/// What GNUstep's constant of that value stands for; nil for any other key.
static NSString *_Nullable apples_key(id key) {
    if (![key isKindOfClass:[NSString class]] || ![key hasSuffix:@"Key"])
        return nil;
    static const struct {
        NSString *theirs, *const *apples;
    } names[] = {
        {@"NSLocalizedDescriptionKey", &NSLocalizedDescriptionKey},
        {@"NSLocalizedFailureReasonErrorKey", &NSLocalizedFailureReasonErrorKey},
        {@"NSLocalizedRecoverySuggestionErrorKey", &NSLocalizedRecoverySuggestionErrorKey},
        {@"NSLocalizedRecoveryOptionsErrorKey", &NSLocalizedRecoveryOptionsErrorKey},
        {@"NSRecoveryAttempterErrorKey", &NSRecoveryAttempterErrorKey},
        {@"NSUnderlyingErrorKey", &NSUnderlyingErrorKey},
        {@"NSFilePathErrorKey", &NSFilePathErrorKey},
        {@"NSURLErrorKey", &NSURLErrorKey},
        {@"NSStringEncodingErrorKey", &NSStringEncodingErrorKey},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ([key isEqualToString:names[i].theirs])
            return *names[i].apples;
    return nil;
}

/// The dictionary itself where it has Apple's keys alone. A renamed one is mutable: GNUstep's file manager adds to that
/// of an error which it has just made.
static NSDictionary *renamed(NSDictionary *userInfo) {
    NSMutableDictionary *copy = nil;
    for (id key in userInfo) {
        NSString *name = apples_key(key);
        if (name == nil)
            continue;
        copy = copy ?: [userInfo mutableCopy];
        copy[name] = userInfo[key];
        [copy removeObjectForKey:key];
    }
    return copy ?: userInfo;
}

static NSString *_Nullable text(NSDictionary *userInfo, NSString *key) {
    id value = userInfo[key];
    return [value isKindOfClass:[NSString class]] ? value : nil;
}

/// Keys need not be texts.
static NSInteger by_description(id first, id second, void *context) {
    (void)context;
    return [[first description] compare:[second description]];
}

// They take the place of GNUstep's, which is what is meant.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

@implementation NSError (ApplevzUserInfo)

- (NSDictionary *)userInfo {
    static _Atomic(ptrdiff_t) found; // the same, whichever thread finds it
    ptrdiff_t offset = atomic_load_explicit(&found, memory_order_relaxed);
    if (offset == 0) {
        offset = ivar_getOffset(class_getInstanceVariable([NSError class], "_userInfo"));
        atomic_store_explicit(&found, offset, memory_order_relaxed);
    }
    NSDictionary *userInfo = *(__unsafe_unretained NSDictionary **)(void *)((char *)(__bridge void *)self + offset);
    return userInfo != nil ? renamed(userInfo) : @{};
}

/// The operating system has words for its own numbers.
- (NSString *)localizedFailureReason {
    NSString *reason = text(self.userInfo, NSLocalizedFailureReasonErrorKey);
    if (reason != nil || ![self.domain isEqualToString:NSPOSIXErrorDomain] || self.code != (int)self.code)
        return reason;
    char buffer[128];
    return [NSString stringWithUTF8String:strerror_r((int)self.code, buffer, sizeof buffer)];
}

- (NSString *)localizedDescription {
    NSDictionary *userInfo = self.userInfo;
    NSString *description = text(userInfo, NSLocalizedDescriptionKey);
    if (description != nil)
        return description;
    NSString *failure = text(userInfo, NSLocalizedFailureErrorKey);
    NSString *reason = self.localizedFailureReason;
    if (failure != nil && reason == nil)
        return failure;
    if (reason == nil)
        reason = [NSString stringWithFormat:@"(%@ error %ld.)", self.domain, (long)self.code];
    return [NSString stringWithFormat:@"%@ %@", failure ?: Incomplete, reason];
}

- (NSString *)localizedRecoverySuggestion {
    return text(self.userInfo, NSLocalizedRecoverySuggestionErrorKey);
}

- (NSArray *)localizedRecoveryOptions {
    return self.userInfo[NSLocalizedRecoveryOptionsErrorKey];
}

- (id)recoveryAttempter {
    return self.userInfo[NSRecoveryAttempterErrorKey];
}

- (NSString *)helpAnchor {
    return text(self.userInfo, NSHelpAnchorErrorKey);
}

- (NSArray<NSError *> *)underlyingErrors {
    NSDictionary *userInfo = self.userInfo;
    NSMutableArray<NSError *> *errors = [NSMutableArray array];
    if (userInfo[NSUnderlyingErrorKey] != nil)
        [errors addObject:userInfo[NSUnderlyingErrorKey]];
    if ([userInfo[NSMultipleUnderlyingErrorsKey] isKindOfClass:[NSArray class]])
        [errors addObjectsFromArray:userInfo[NSMultipleUnderlyingErrorsKey]];
    return errors;
}

/// `Error Domain=VZErrorDomain Code=2 "reason" UserInfo={key=value, …}`, keys in alphabetical order.
- (NSString *)description {
    NSDictionary *userInfo = self.userInfo;
    NSString *quoted = text(userInfo, NSLocalizedDescriptionKey) ?: self.localizedFailureReason;
    NSMutableString *words = [NSMutableString
        stringWithFormat:@"Error Domain=%@ Code=%ld \"%@\"", self.domain, (long)self.code, quoted ?: @"(null)"];
    NSString *separator = @" UserInfo={";
    for (id key in [userInfo.allKeys sortedArrayUsingFunction:by_description context:NULL]) {
        id value = userInfo[key];
        [words appendFormat:@"%@%@=", separator, key];
        if ([value isKindOfClass:[NSError class]])
            [words appendFormat:@"%p {%@}", (__bridge void *)value, value];
        else
            [words appendFormat:@"%@", value];
        separator = @", ";
    }
    if (userInfo.count > 0)
        [words appendString:@"}"];
    return words;
}

@end

#pragma clang diagnostic pop

@implementation NSError (ApplevzPrivate)

/// As GNUstep's of this name, which writes its own value of the key: the dictionary stays that to which it adds.
+ (NSError *)_error:(NSInteger)code description:(NSString *)description {
    NSMutableDictionary *userInfo = [NSMutableDictionary dictionaryWithObject:description
                                                                       forKey:NSLocalizedDescriptionKey];
    return [self errorWithDomain:NSCocoaErrorDomain code:code userInfo:userInfo];
}

@end
