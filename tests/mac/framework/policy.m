// SPDX-License-Identifier: Apache-2.0
#import "policy.h"
#import <objc/runtime.h>
#import <stdio.h>
#import <stdlib.h>
#import <unistd.h>

void played_mac_fail(NSString *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    NSString *words = [[NSString alloc] initWithFormat:format arguments:arguments];
    va_end(arguments);
    fprintf(stderr, "played Mac: %s\n", words.UTF8String);
    abort();
}

static NSDictionary<NSString *, id> *policy(void) {
    static NSDictionary<NSString *, id> *read;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        const char *text = getenv("APPLEVZ_PLAYED_MAC");
        NSData *data = [NSData dataWithBytes:text ?: "{}" length:strlen(text ?: "{}")];
        NSError *error = nil;
        read = [NSJSONSerialization JSONObjectWithData:data options:0 error:&error];
        if (![read isKindOfClass:[NSDictionary class]])
            played_mac_fail(@"APPLEVZ_PLAYED_MAC is no JSON object: %@",
                            error.localizedFailureReason ?: @"something else");
    });
    return read;
}

static id value_of_class(NSString *key, Class class_) {
    id value = policy()[key];
    if (value != nil && ![value isKindOfClass:class_])
        played_mac_fail(@"\"%@\" is no %@", key, NSStringFromClass(class_));
    return value;
}

NSString *played_mac_text(NSString *key) {
    return value_of_class(key, [NSString class]);
}

NSNumber *played_mac_number(NSString *key) {
    return value_of_class(key, [NSNumber class]);
}

NSDictionary<NSString *, id> *played_mac_object(NSString *key) {
    return value_of_class(key, [NSDictionary class]);
}

BOOL played_mac_is(NSString *key, NSString *text) {
    return [played_mac_text(key) isEqualToString:text];
}

IMP played_mac_replace(Class class_, SEL selector, IMP function) {
    Method method = class_ != Nil ? class_getInstanceMethod(class_, selector) : NULL;
    if (method == NULL)
        played_mac_fail(@"%@ has no method %@", NSStringFromClass(class_), NSStringFromSelector(selector));
    IMP original = method_getImplementation(method);
    // One that is inherited stays as it is for the other classes that inherit it.
    if (!class_addMethod(class_, selector, function, method_getTypeEncoding(method)))
        method_setImplementation(method, function);
    return original;
}

IMP played_mac_replace_class_method(Class class_, SEL selector, IMP function) {
    return played_mac_replace(object_getClass((id)class_), selector, function);
}

void played_mac_after_turns(dispatch_queue_t queue, NSInteger turns, dispatch_block_t block) {
    if (turns <= 0) {
        block();
        return;
    }
    dispatch_async(queue, ^{
        played_mac_after_turns(queue, turns - 1, block);
    });
}

void played_mac_when_allowed(NSString *key, dispatch_queue_t queue, dispatch_block_t block) {
    NSString *path = played_mac_text(key);
    if (path == nil) {
        dispatch_async(queue, block);
        return;
    }
    dispatch_source_t timer = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, queue);
    dispatch_source_set_timer(timer, DISPATCH_TIME_NOW, 5 * NSEC_PER_MSEC, 0);
    dispatch_source_set_event_handler(timer, ^{
        if (access(path.fileSystemRepresentation, F_OK) != 0)
            return;
        dispatch_source_cancel(timer);
        block();
    });
    dispatch_resume(timer);
}

void played_mac_complete(dispatch_queue_t queue, dispatch_block_t completion) {
    NSString *when = played_mac_text(@"completion");
    if ([when isEqualToString:@"never"])
        return;
    NSInteger turns = [when isEqualToString:@"late"] ? 1 : [when isEqualToString:@"twice late"] ? 2 : 0;
    // Observers that hear early hear a turn before.
    if (turns == 0 && played_mac_is(@"observation", @"early"))
        turns = 1;
    played_mac_after_turns(queue, turns, ^{
        completion();
        if ([when isEqualToString:@"twice"])
            played_mac_after_turns(queue, 1, completion);
    });
}
