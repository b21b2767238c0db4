// SPDX-License-Identifier: Apache-2.0
#import "errors.h"
#import "conditions.h"
#import "files.h"
#import "forked_error.h"
#import "guard.h"
#import "ownership.h"
#import "text.h"
#import <Virtualization/Virtualization.h>
#import <json_reader.h>
#import <objc/runtime.h>

NSString *const AppleVZErrorDomain = @"applevz";

_Static_assert((int)APPLEVZ_ERROR_INTERNAL == (int)VZErrorInternal, "");
_Static_assert((int)APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_CONFIGURATION ==
                   (int)VZErrorInvalidVirtualMachineConfiguration,
               "");
_Static_assert((int)APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE == (int)VZErrorInvalidVirtualMachineState, "");
_Static_assert((int)APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE_TRANSITION ==
                   (int)VZErrorInvalidVirtualMachineStateTransition,
               "");
_Static_assert((int)APPLEVZ_ERROR_INVALID_DISK_IMAGE == (int)VZErrorInvalidDiskImage, "");
_Static_assert((int)APPLEVZ_ERROR_VIRTUAL_MACHINE_LIMIT_EXCEEDED == (int)VZErrorVirtualMachineLimitExceeded, "");
_Static_assert((int)APPLEVZ_ERROR_NETWORK_ERROR == (int)VZErrorNetworkError, "");
_Static_assert((int)APPLEVZ_ERROR_OUT_OF_DISK_SPACE == (int)VZErrorOutOfDiskSpace, "");
_Static_assert((int)APPLEVZ_ERROR_OPERATION_CANCELLED == (int)VZErrorOperationCancelled, "");
_Static_assert((int)APPLEVZ_ERROR_NOT_SUPPORTED == (int)VZErrorNotSupported, "");

/// The user info of an error of ours: up to three texts. A general dictionary hashes each of its keys when it is made,
/// which was a fifth of an error's whole life, and most errors are dropped unread.
@interface AppleVZErrorTexts : NSDictionary
@end

@implementation AppleVZErrorTexts {
  @public
    NSString *_description, *_reason, *_suggestion;
    NSString * (^_explanation)(void); // in place of a reason
}

- (BOOL)hasReason {
    return _explanation != nil || _reason != nil;
}

- (nullable NSString *)reason {
    return _explanation != nil ? _explanation() : _reason;
}

- (id)copyWithZone:(NSZone *)zone {
    return self; // as immutable as its texts, which nobody else may change: they are made for it, or constants
}

- (NSUInteger)count {
    return (_description != nil) + self.hasReason + (_suggestion != nil);
}

- (id)objectForKey:(id)key {
    if (key == NSLocalizedDescriptionKey)
        return _description;
    if (key == NSLocalizedFailureReasonErrorKey)
        return self.reason;
    if (key == NSLocalizedRecoverySuggestionErrorKey)
        return _suggestion;
    if (key == NSUnderlyingErrorKey)
        return nil;
    if ([key isEqual:NSLocalizedDescriptionKey])
        return _description;
    if ([key isEqual:NSLocalizedFailureReasonErrorKey])
        return self.reason;
    return [key isEqual:NSLocalizedRecoverySuggestionErrorKey] ? _suggestion : nil;
}

- (NSArray *)keys {
    NSMutableArray *keys = [NSMutableArray arrayWithCapacity:3];
    if (_description != nil)
        [keys addObject:NSLocalizedDescriptionKey];
    if (self.hasReason)
        [keys addObject:NSLocalizedFailureReasonErrorKey];
    if (_suggestion != nil)
        [keys addObject:NSLocalizedRecoverySuggestionErrorKey];
    return keys;
}

- (NSEnumerator *)keyEnumerator {
    return [self.keys objectEnumerator];
}

// GNUstep's NSDictionary leaves it to the subclass. The keys are constants: they outlive the array.
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState *)state
                                  objects:(id __unsafe_unretained _Nullable *)buffer
                                    count:(NSUInteger)length {
    static unsigned long mutations;
    NSArray *keys = self.keys;
    NSUInteger given = 0;
    while (given < length && state->state < keys.count)
        buffer[given++] = keys[state->state++];
    state->itemsPtr = buffer;
    state->mutationsPtr = &mutations;
    return given;
}

@end

static uint64_t kind_of(enum applevz_error_domain domain, NSInteger code, int64_t posix_code) {
    uint32_t number = 0;
    if (domain != APPLEVZ_ERROR_DOMAIN_OTHER)
        number = code > 0 && code < UINT32_MAX ? (uint32_t)code : UINT32_MAX;
    uint64_t posix = posix_code >= 0 && posix_code < 0xffffff ? (uint64_t)posix_code : 0xffffff;
    return (uint64_t)domain << 56 | posix << 32 | number;
}

/// An error of ours, which has no other beneath it and knows its kind: another is asked for that with ten messages.
@interface AppleVZError : NSError {
  @public
    uint64_t _kind;
}
@end

static Class own_error_class;

@implementation AppleVZError

+ (void)load {
    own_error_class = self;
}

- (id)copyWithZone:(NSZone *)zone {
    return self; // as immutable as every error
}

@end

/// With a reason, or what makes one.
static NSError *error_of(NSString *domain, NSInteger code, NSString *description, NSString *reason,
                         NSString * (^explanation)(void), NSString *suggestion) {
    AppleVZErrorTexts *texts = [[AppleVZErrorTexts alloc] init];
    texts->_description = description;
    texts->_reason = reason;
    texts->_explanation = explanation;
    texts->_suggestion = suggestion;
    AppleVZError *error = [[AppleVZError alloc] initWithDomain:domain code:code userInfo:texts];
    enum applevz_error_domain number = applevz_number_of_domain(domain);
    error->_kind = kind_of(number, code, applevz_condition_of_code(number, domain, code).code);
    return error;
}

NSError *applevz_error(NSString *domain, NSInteger code, NSString *description, NSString *reason,
                       NSString *suggestion) {
    return error_of(domain, code, description, reason, nil, suggestion);
}

NSError *applevz_posix_error(int number) {
    return [NSError errorWithDomain:NSPOSIXErrorDomain code:number userInfo:nil];
}

NSError *applevz_error_with_cause(NSString *domain, NSInteger code, applevz_error_opening opening, NSString *text,
                                  NSString *reason, NSString *suggestion, NSError *cause) {
    NSMutableDictionary *information = [NSMutableDictionary dictionary];
    BOOL describes = opening == APPLEVZ_OPENS_WITH_DESCRIPTION;
    information[describes ? NSLocalizedDescriptionKey : NSLocalizedFailureErrorKey] = text;
    information[NSLocalizedFailureReasonErrorKey] = reason;
    information[NSLocalizedRecoverySuggestionErrorKey] = suggestion;
    information[NSUnderlyingErrorKey] = cause;
    return [NSError errorWithDomain:domain code:code userInfo:information];
}

NSError *applevz_changed_error(NSError *error, __attribute__((noescape)) void (^change)(NSMutableDictionary *)) {
    // Others' user info need not be one that can be copied.
    NSMutableDictionary *information = [NSMutableDictionary dictionary];
    for (id key in error.userInfo)
        information[key] = error.userInfo[key];
    change(information);
    return [NSError errorWithDomain:error.domain code:error.code userInfo:information];
}

NSError *applevz_invalid_argument(NSString *description, NSString *reason, NSString *suggestion) {
    return applevz_error(AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT, description, reason, suggestion);
}

NSError *applevz_explained_invalid_argument(NSString *description, NSString *suggestion,
                                            NSString * (^explanation)(void)) {
    return error_of(AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT, description, nil, explanation,
                    suggestion);
}

NSError *applevz_no_such_index(NSString *description, size_t index, NSUInteger count, NSString *suggestion) {
    return applevz_explained_invalid_argument(description, suggestion, ^{
        return [NSString stringWithFormat:@"index is %zu; the machine has %lu.", index, (unsigned long)count];
    });
}

NSError *applevz_refused_without_reason(void) {
    return applevz_error(VZErrorDomain, VZErrorInvalidVirtualMachineConfiguration, @"The configuration is not valid.",
                         @"The framework refused it without a reason.", nil);
}

NSError *applevz_refused_without_error(NSString *what) {
    return applevz_error(VZErrorDomain, VZErrorInternal, [NSString stringWithFormat:@"The %@ could not be made.", what],
                         @"The framework gave neither an object nor an error.", nil);
}

NSError *applevz_error_from_exception(NSException *exception) {
    return applevz_error(
        AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_EXCEPTION, @"The virtualization framework raised an exception.",
        [NSString stringWithFormat:@"%@: %@", exception.name, exception.reason ?: @"(no reason)"], nil);
}

CFErrorRef applevz_error_create(const char *domain, size_t domain_length, int64_t code, const char *description,
                                size_t description_length, const char *reason, size_t reason_length,
                                const char *suggestion, size_t suggestion_length) {
    // Success would leave NULL, which is no error: what goes wrong while an error is made is an error as well.
    return applevz_guard(^NSError *_Nullable {
        NSError *refusal = nil;
        NSString *domain_text = applevz_text(domain, domain_length, @"domain", &refusal);
        NSString *description_text = applevz_text(description, description_length, @"description", &refusal);
        NSString *reason_text = applevz_text(reason, reason_length, @"reason", &refusal);
        NSString *suggestion_text = applevz_text(suggestion, suggestion_length, @"suggestion", &refusal);
        if (refusal != nil)
            return refusal;
        // Texts without words are none.
        return applevz_error(domain_text, (NSInteger)code, description_length > 0 ? description_text : nil,
                             reason_length > 0 ? reason_text : nil, suggestion_length > 0 ? suggestion_text : nil);
    });
}

CFErrorRef applevz_error_create_in_field(CFErrorRef reference, const char *field, size_t field_length) {
    return applevz_guard(^NSError *_Nullable {
        NSError *refusal = nil;
        NSError *error = applevz_borrowed(NSError, reference);
        NSString *place = applevz_text(field, field_length, @"field", &refusal);
        if (refusal != nil)
            return refusal;
        NSString *reason = error.localizedFailureReason;
        NSString *told =
            reason != nil ? [NSString stringWithFormat:@"%@: %@", place, reason] : [place stringByAppendingString:@"."];
        return applevz_changed_error(error, ^(NSMutableDictionary *information) {
            information[NSLocalizedFailureReasonErrorKey] = told;
            // A description of its own may have the reason in it; one that is made of the parts has it.
            NSString *description = information[NSLocalizedDescriptionKey];
            if (description != nil && reason.length > 0)
                information[NSLocalizedDescriptionKey] = [description stringByReplacingOccurrencesOfString:reason
                                                                                                withString:told];
        });
    });
}

CFErrorRef applevz_error_create_with_file(CFErrorRef reference, const char *path, size_t path_length) {
    return applevz_guard(^NSError *_Nullable {
        return applevz_error_with_file(applevz_borrowed(NSError, reference), path, path_length);
    });
}

// In a forked child each error reads as the one that is made for it: to read another would send messages
// (forked_error.h).

int64_t applevz_error_code(CFErrorRef error) {
    if (applevz_machines_were_inherited())
        return APPLEVZ_BRIDGE_ERROR_FORKED;
    return applevz_borrowed(NSError, error).code;
}

int64_t applevz_error_posix_code(CFErrorRef reference) {
    __block int64_t code = 0;
    applevz_guard_infallible(^{
        code = applevz_condition_of_error(applevz_borrowed(NSError, reference)).code;
    });
    return code;
}

uint64_t applevz_error_kind(CFErrorRef reference) {
    if (applevz_machines_were_inherited())
        return applevz_forked_error_kind();
    __unsafe_unretained AppleVZError *own = (__bridge id)reference;
    if (object_getClass(own) == own_error_class)
        return own->_kind;
    __block uint64_t kind = 0;
    applevz_guard_infallible(^{
        NSError *error = applevz_borrowed(NSError, reference);
        kind = kind_of(applevz_number_of_domain(error.domain), error.code, applevz_condition_of_error(error).code);
    });
    return kind;
}

/// The value in a form that JSON has. An error beneath is not repeated: applevz_error_copy_underlying gives it whole.
static id json_value(id value, unsigned depth) {
    if ([value isKindOfClass:[NSString class]])
        return value;
    if ([value isKindOfClass:[NSURL class]])
        return [value absoluteString];
    if ([value isKindOfClass:[NSNumber class]])
        return isfinite([value doubleValue]) ? value : [value description];
    // Whoever reads it, and whoever writes it, goes as deep.
    if (depth == APPLEVZ_JSON_DEPTH)
        return @"…";
    if ([value isKindOfClass:[NSArray class]]) {
        NSMutableArray *array = [NSMutableArray array];
        for (id element in value)
            [array addObject:json_value(element, depth + 1)];
        return array;
    }
    if ([value isKindOfClass:[NSDictionary class]]) {
        NSMutableDictionary *dictionary = [NSMutableDictionary dictionary];
        for (id key in value)
            dictionary[[key description]] = json_value([value objectForKey:key], depth + 1);
        return dictionary;
    }
    return [value description] ?: @"";
}

static NSString *error_text(NSError *error, enum applevz_error_text which) {
    switch (which) {
    case APPLEVZ_ERROR_TEXT_DOMAIN:
        return error.domain;
    case APPLEVZ_ERROR_TEXT_LOCALIZED_DESCRIPTION:
        return error.localizedDescription;
    case APPLEVZ_ERROR_TEXT_FAILURE_REASON:
        return error.localizedFailureReason;
    case APPLEVZ_ERROR_TEXT_RECOVERY_SUGGESTION:
        return error.localizedRecoverySuggestion;
    case APPLEVZ_ERROR_TEXT_FILE:
        return applevz_file_of_error(error);
    case APPLEVZ_ERROR_TEXT_USER_INFO: {
        NSData *data = [NSJSONSerialization dataWithJSONObject:json_value(error.userInfo ?: @{}, 0)
                                                       options:0
                                                         error:NULL];
        return data ? [[NSString alloc] initWithData:data encoding:NSUTF8StringEncoding] : nil;
    }
    }
    return nil;
}

char *applevz_error_copy_text(CFErrorRef error, enum applevz_error_text which, size_t *length) {
    if (applevz_machines_were_inherited())
        return applevz_forked_error_copy_text(which, length);
    __block char *copy = NULL;
    applevz_guard_infallible(^{
        copy = applevz_copy_text(error_text(applevz_borrowed(NSError, error), which), length);
    });
    return copy;
}

void applevz_error_release(CFErrorRef error) {
    // Another one is left as it was.
    if (!applevz_machines_were_inherited() || applevz_is_forked_error(error))
        CFRelease(error);
}

CFErrorRef applevz_error_copy_underlying(CFErrorRef error) {
    if (applevz_machines_were_inherited())
        return NULL; // nothing caused it
    return applevz_guard(^NSError *_Nullable {
        return applevz_error_beneath(applevz_borrowed(NSError, error));
    });
}
