// SPDX-License-Identifier: Apache-2.0
#import "errors.h"
#import "guard.h"
#import "ownership.h"
#import "text.h"
#import <Virtualization/Virtualization.h>
#import <objc/runtime.h>

NSString *const AppleVZErrorDomain = @"applevz";

_Static_assert((int)APPLEVZ_ERROR_INTERNAL == (int)VZErrorInternal, "");
_Static_assert((int)APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_CONFIGURATION ==
                   (int)VZErrorInvalidVirtualMachineConfiguration, "");
_Static_assert((int)APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE == (int)VZErrorInvalidVirtualMachineState, "");
_Static_assert((int)APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE_TRANSITION ==
                   (int)VZErrorInvalidVirtualMachineStateTransition, "");
_Static_assert((int)APPLEVZ_ERROR_INVALID_DISK_IMAGE == (int)VZErrorInvalidDiskImage, "");
_Static_assert((int)APPLEVZ_ERROR_VIRTUAL_MACHINE_LIMIT_EXCEEDED == (int)VZErrorVirtualMachineLimitExceeded, "");
_Static_assert((int)APPLEVZ_ERROR_NETWORK_ERROR == (int)VZErrorNetworkError, "");
_Static_assert((int)APPLEVZ_ERROR_OUT_OF_DISK_SPACE == (int)VZErrorOutOfDiskSpace, "");
_Static_assert((int)APPLEVZ_ERROR_OPERATION_CANCELLED == (int)VZErrorOperationCancelled, "");
_Static_assert((int)APPLEVZ_ERROR_NOT_SUPPORTED == (int)VZErrorNotSupported, "");

/// The user info of an error of ours: up to three texts. A general dictionary hashes each of its keys when it is made, which
/// was a fifth of an error's whole life, and most errors are dropped unread.
@interface AppleVZErrorTexts : NSDictionary
@end

@implementation AppleVZErrorTexts {
@public
    NSString *_description, *_reason, *_suggestion;
    NSString *(^_explanation)(void); // in place of a reason
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

static enum applevz_error_domain domain_number(NSString *domain) {
    // Nearly always the constant itself.
    if (domain == VZErrorDomain)
        return APPLEVZ_ERROR_DOMAIN_VIRTUALIZATION;
    if (domain == AppleVZErrorDomain)
        return APPLEVZ_ERROR_DOMAIN_BRIDGE;
    if ([domain isEqualToString:VZErrorDomain])
        return APPLEVZ_ERROR_DOMAIN_VIRTUALIZATION;
    if ([domain isEqualToString:AppleVZErrorDomain])
        return APPLEVZ_ERROR_DOMAIN_BRIDGE;
    if ([domain isEqualToString:NSPOSIXErrorDomain])
        return APPLEVZ_ERROR_DOMAIN_POSIX;
    return APPLEVZ_ERROR_DOMAIN_OTHER;
}

/// errno that an error is itself, within 24 bits; 0 if it is none.
static uint64_t own_posix_code(enum applevz_error_domain domain, NSInteger code) {
    if (domain != APPLEVZ_ERROR_DOMAIN_POSIX || code == 0)
        return 0;
    return code > 0 && code < 0xffffff ? (uint64_t)code : 0xffffff;
}

static uint64_t kind_of(enum applevz_error_domain domain, NSInteger code, uint64_t posix_code) {
    uint32_t number = 0;
    if (domain != APPLEVZ_ERROR_DOMAIN_OTHER)
        number = code > 0 && code < UINT32_MAX ? (uint32_t)code : UINT32_MAX;
    return (uint64_t)domain << 56 | posix_code << 32 | number;
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
                         NSString *(^explanation)(void), NSString *suggestion) {
    AppleVZErrorTexts *texts = [[AppleVZErrorTexts alloc] init];
    texts->_description = description;
    texts->_reason = reason;
    texts->_explanation = explanation;
    texts->_suggestion = suggestion;
    AppleVZError *error = [[AppleVZError alloc] initWithDomain:domain code:code userInfo:texts];
    enum applevz_error_domain number = domain_number(domain);
    error->_kind = kind_of(number, code, own_posix_code(number, code));
    return error;
}

NSError *applevz_error(NSString *domain, NSInteger code, NSString *description, NSString *reason,
                       NSString *suggestion) {
    return error_of(domain, code, description, reason, nil, suggestion);
}

NSError *applevz_invalid_argument(NSString *description, NSString *reason, NSString *suggestion) {
    return applevz_error(AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT, description, reason, suggestion);
}

NSError *applevz_explained_invalid_argument(NSString *description, NSString *suggestion, NSString *(^explanation)(void)) {
    return error_of(AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT, description, nil, explanation, suggestion);
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
    return applevz_error(AppleVZErrorDomain, APPLEVZ_BRIDGE_ERROR_EXCEPTION,
                         @"The virtualization framework raised an exception.",
                         [NSString stringWithFormat:@"%@: %@", exception.name, exception.reason ?: @"(no reason)"],
                         nil);
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

int64_t applevz_error_code(CFErrorRef error) {
    return applevz_borrowed(NSError, error).code;
}

/// errno of the first cause that the operating system reported; 0 if there is none.
static uint64_t posix_code_in_chain(NSError *error) {
    uint64_t code = 0;
    // A chain that leads back into itself ends too: nobody nests causes deeper than this.
    for (int depth = 0; depth < 16 && error != nil && code == 0; depth++) {
        code = own_posix_code(domain_number(error.domain), error.code);
        error = error.userInfo[NSUnderlyingErrorKey];
    }
    return code;
}

uint64_t applevz_error_kind(CFErrorRef reference) {
    __unsafe_unretained AppleVZError *own = (__bridge id)reference;
    if (object_getClass(own) == own_error_class)
        return own->_kind;
    __block uint64_t kind = 0;
    applevz_guard_infallible(^{
        NSError *error = applevz_borrowed(NSError, reference);
        kind = kind_of(domain_number(error.domain), error.code, posix_code_in_chain(error));
    });
    return kind;
}

/// The key under the name that Apple's Foundation has for it; another Foundation's constants may have another value.
static NSString *key_name(id key) {
    if ([key isEqual:NSLocalizedDescriptionKey])
        return @"NSLocalizedDescription";
    if ([key isEqual:NSLocalizedFailureReasonErrorKey])
        return @"NSLocalizedFailureReason";
    if ([key isEqual:NSLocalizedRecoverySuggestionErrorKey])
        return @"NSLocalizedRecoverySuggestion";
    if ([key isEqual:NSUnderlyingErrorKey])
        return @"NSUnderlyingError";
    if ([key isEqual:NSFilePathErrorKey])
        return @"NSFilePath";
    return [key description];
}

/// The value in a form that JSON has. An error beneath is not repeated: applevz_error_copy_underlying gives it whole.
static id json_value(id value) {
    if ([value isKindOfClass:[NSString class]])
        return value;
    if ([value isKindOfClass:[NSNumber class]])
        return isfinite([value doubleValue]) ? value : [value description];
    if ([value isKindOfClass:[NSArray class]]) {
        NSMutableArray *array = [NSMutableArray array];
        for (id element in value)
            [array addObject:json_value(element)];
        return array;
    }
    if ([value isKindOfClass:[NSDictionary class]]) {
        NSMutableDictionary *dictionary = [NSMutableDictionary dictionary];
        for (id key in value)
            dictionary[key_name(key)] = json_value([value objectForKey:key]);
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
    case APPLEVZ_ERROR_TEXT_USER_INFO: {
        NSData *data = [NSJSONSerialization dataWithJSONObject:json_value(error.userInfo ?: @{}) options:0 error:NULL];
        return data ? [[NSString alloc] initWithData:data encoding:NSUTF8StringEncoding] : nil;
    }
    }
    return nil;
}

char *applevz_error_copy_text(CFErrorRef error, enum applevz_error_text which, size_t *length) {
    __block char *copy = NULL;
    applevz_guard_infallible(^{
        copy = applevz_copy_text(error_text(applevz_borrowed(NSError, error), which), length);
    });
    return copy;
}

CFErrorRef applevz_error_copy_underlying(CFErrorRef error) {
    return applevz_guard_everywhere(^NSError *_Nullable {
        return applevz_borrowed(NSError, error).userInfo[NSUnderlyingErrorKey];
    });
}
