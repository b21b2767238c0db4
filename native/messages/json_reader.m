// SPDX-License-Identifier: Apache-2.0
#import "json_reader.h"
#import "json_grammar.h"

static const applevz_json_rules rules = {
    .deepest = APPLEVZ_JSON_DEPTH,
    // A number that is longer says nothing that a double could keep.
    .longest_number = 127,
};

static NSString *words_of(applevz_json_fault fault) {
    switch (fault) {
    case APPLEVZ_JSON_TOO_DEEP:
        return [NSString stringWithFormat:@"nests more than %d deep", APPLEVZ_JSON_DEPTH];
    case APPLEVZ_JSON_NAME_TWICE:
        return @"has a name twice";
    case APPLEVZ_JSON_NUMBER_TOO_LONG:
        return @"has a number that is too long";
    case APPLEVZ_JSON_NUMBER_TOO_LARGE:
        return @"has a number that is too large";
    case APPLEVZ_JSON_UNTERMINATED_TEXT:
    case APPLEVZ_JSON_CONTROL_CHARACTER:
    case APPLEVZ_JSON_NUL:
    case APPLEVZ_JSON_INVALID_ESCAPE:
    case APPLEVZ_JSON_INVALID_ENCODING:
        return @"has a text that is not one in UTF-8";
    default:
        return @"is not JSON";
    }
}

id applevz_json_read(const void *bytes, size_t length, size_t longest, NSString **reason) {
    if (length > longest) {
        if (reason != NULL)
            *reason = [NSString stringWithFormat:@"has %zu bytes, of which %zu are read at most", length, longest];
        return nil;
    }
    applevz_json_fault fault;
    size_t place;
    id value = applevz_json_parse(bytes, length, &rules, &fault, &place);
    if (value == nil && reason != NULL)
        *reason = [NSString stringWithFormat:@"%@ at byte %zu", words_of(fault), place];
    return value;
}

NSDictionary<NSString *, id> *applevz_json_read_object(const void *bytes, size_t length, size_t longest,
                                                       NSString **reason) {
    id value = applevz_json_read(bytes, length, longest, reason);
    if (value == nil || [value isKindOfClass:[NSDictionary class]])
        return value;
    if (reason != NULL)
        *reason = @"is no object of JSON";
    return nil;
}
