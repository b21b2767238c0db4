// SPDX-License-Identifier: Apache-2.0
#import "json_values.h"
#import "json_grammar.h"

static id member(id object, NSString *name, Class class) {
    id value = [object isKindOfClass:[NSDictionary class]] ? [(NSDictionary *)object objectForKey:name] : nil;
    return [value isKindOfClass:class] ? value : nil;
}

NSString *applevz_json_text(id object, NSString *name) {
    return member(object, name, [NSString class]);
}

NSArray *applevz_json_array(id object, NSString *name) {
    return member(object, name, [NSArray class]);
}

NSDictionary<NSString *, id> *applevz_json_object(id object, NSString *name) {
    return member(object, name, [NSDictionary class]);
}

static bool is_boolean(NSNumber *number) {
    return number == applevz_json_boolean_of(false) || number == applevz_json_boolean_of(true);
}

bool applevz_json_boolean(id object, NSString *name, bool *value) {
    NSNumber *number = member(object, name, [NSNumber class]);
    if (number == nil || !is_boolean(number))
        return false;
    *value = number == applevz_json_boolean_of(true);
    return true;
}

bool applevz_json_is_true(id object, NSString *name) {
    bool value = false;
    return applevz_json_boolean(object, name, &value) && value;
}

static NSNumber *integer(id object, NSString *name) {
    NSNumber *number = member(object, name, [NSNumber class]);
    return number != nil && !is_boolean(number) && *number.objCType != *@encode(double) ? number : nil;
}

bool applevz_json_integer(id object, NSString *name, int64_t least, int64_t greatest, int64_t *value) {
    NSNumber *number = integer(object, name);
    // Above the greatest of 64 bits with a sign it is one without.
    bool is_unsigned =
        number != nil && number.unsignedLongLongValue > INT64_MAX && *number.objCType == *@encode(uint64_t);
    if (number == nil || is_unsigned || number.longLongValue < least || number.longLongValue > greatest)
        return false;
    *value = number.longLongValue;
    return true;
}

bool applevz_json_unsigned(id object, NSString *name, uint64_t *value) {
    NSNumber *number = integer(object, name);
    if (number == nil || (number.longLongValue < 0 && *number.objCType != *@encode(uint64_t)))
        return false;
    *value = number.unsignedLongLongValue;
    return true;
}
