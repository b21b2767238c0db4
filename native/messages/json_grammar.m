// SPDX-License-Identifier: Apache-2.0
#import "json_grammar.h"
#import <locale.h>
#import <math.h>
#import <pthread.h>
#import <stdlib.h>
#import <string.h>
#if __has_include(<xlocale.h>)
#import <xlocale.h>
#endif

// A longer number is not copied to the stack.
enum { SHORT_NUMBER = 127 };

typedef struct reader {
    const unsigned char *start, *next, *end;
    const applevz_json_rules *rules;
    unsigned depth;
    applevz_json_fault fault; // the first one, at `next`
} reader;

static NSNumber *booleans[2];
static locale_t c_locale; // a host program's may have a comma in its numbers

static void prepare(void) {
    booleans[false] = @NO;
    booleans[true] = @YES;
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static void prepare_once(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
}

NSNumber *applevz_json_boolean_of(bool value) {
    prepare_once();
    return booleans[value];
}

/// Always false.
static bool fail(reader *reader, applevz_json_fault fault) {
    if (reader->fault == APPLEVZ_JSON_NO_FAULT)
        reader->fault = fault;
    return false;
}

static id fail_value(reader *reader, applevz_json_fault fault) {
    fail(reader, fault);
    return nil;
}

static void skip_space(reader *reader) {
    while (reader->next < reader->end &&
           (*reader->next == ' ' || *reader->next == '\n' || *reader->next == '\r' || *reader->next == '\t'))
        reader->next++;
}

/// Goes past the character where it is the next one, after white space.
static bool take(reader *reader, unsigned char character) {
    skip_space(reader);
    if (reader->next == reader->end || *reader->next != character)
        return false;
    reader->next++;
    return true;
}

#pragma mark Texts

/// Goes past one character of more than one byte. Not those that could be said shorter, halves of pairs, or past the
/// last.
static bool take_character(reader *reader, uint32_t *character) {
    unsigned char first = *reader->next;
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (first < 0xc2 || first > 0xf4 || (size_t)(reader->end - reader->next) < length)
        return false;
    uint32_t value = first & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((reader->next[i] & 0xc0) != 0x80)
            return false;
        value = value << 6 | (reader->next[i] & 0x3f);
    }
    if (value < smallest[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return false;
    reader->next += length;
    *character = value;
    return true;
}

static bool take_hexadecimal(reader *reader, uint32_t *unit) {
    if (reader->end - reader->next < 4)
        return false;
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char digit = *reader->next;
        unsigned value = digit >= '0' && digit <= '9'   ? digit - '0'
                         : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10u
                         : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10u
                                                        : 16u;
        if (value == 16)
            return false;
        *unit = *unit << 4 | value;
        reader->next++;
    }
    return true;
}

/// What a backslash begins.
static bool take_escape(reader *reader, uint32_t *character) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    reader->next++;
    if (reader->next == reader->end)
        return false;
    unsigned char name = *reader->next++;
    if (name != 'u') {
        const char *place = name != 0 ? strchr(names, name) : NULL;
        *character = place != NULL ? (unsigned char)values[place - names] : 0;
        return place != NULL;
    }
    uint32_t low;
    if (!take_hexadecimal(reader, character))
        return false;
    if (*character < 0xd800 || *character >= 0xe000)
        return true;
    if (*character >= 0xdc00 || reader->end - reader->next < 2 || memcmp(reader->next, "\\u", 2) != 0)
        return false;
    reader->next += 2;
    if (!take_hexadecimal(reader, &low) || low < 0xdc00 || low >= 0xe000)
        return false;
    *character = 0x10000 + ((*character - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/// Up to the closing quote; the units that there is room for are as many as the bytes up to there.
static bool take_units(reader *reader, unichar *units, NSUInteger *count) {
    while (reader->next < reader->end && *reader->next != '"') {
        uint32_t character = *reader->next;
        if (character == '\\') {
            if (!take_escape(reader, &character))
                return fail(reader, APPLEVZ_JSON_INVALID_ESCAPE);
        } else if (character >= 0x80) {
            if (!take_character(reader, &character))
                return fail(reader, APPLEVZ_JSON_INVALID_ENCODING);
        } else if (character >= 0x20) {
            reader->next++;
        } else {
            return fail(reader, APPLEVZ_JSON_CONTROL_CHARACTER);
        }
        if (character == 0 && !reader->rules->takes_nul)
            return fail(reader, APPLEVZ_JSON_NUL);
        if (character < 0x10000) {
            units[(*count)++] = (unichar)character;
        } else {
            units[(*count)++] = (unichar)(0xd800 + ((character - 0x10000) >> 10));
            units[(*count)++] = (unichar)(0xdc00 + ((character - 0x10000) & 0x3ff));
        }
    }
    return reader->next < reader->end || fail(reader, APPLEVZ_JSON_UNTERMINATED_TEXT);
}

/// What follows the opening quote.
static NSString *read_text(reader *reader) {
    Class class = reader->rules->has_mutable_texts ? [NSMutableString class] : [NSString class];
    const unsigned char *start = reader->next, *end = start;
    while (end < reader->end && *end >= 0x20 && *end < 0x80 && *end != '"' && *end != '\\')
        end++;
    if (end < reader->end && *end == '"') {
        reader->next = end + 1;
        return [[class alloc] initWithBytes:start length:(NSUInteger)(end - start) encoding:NSASCIIStringEncoding];
    }
    while (end < reader->end && *end != '"')
        end += *end == '\\' && end + 1 < reader->end ? 2 : 1;
    unichar *units = malloc(((size_t)(end - start) + 1) * sizeof *units);
    NSUInteger count = 0;
    NSString *text = nil;
    if (units != NULL && take_units(reader, units, &count))
        text = [[class alloc] initWithCharacters:units length:count];
    free(units);
    if (text == nil)
        return fail_value(reader, APPLEVZ_JSON_INVALID_ENCODING);
    reader->next++;
    return text;
}

#pragma mark Numbers

static size_t count_digits(reader *reader) {
    const unsigned char *start = reader->next;
    while (reader->next < reader->end && *reader->next >= '0' && *reader->next <= '9')
        reader->next++;
    return (size_t)(reader->next - start);
}

static bool is_next(const reader *reader, const char *characters) {
    return reader->next < reader->end && *reader->next != 0 && strchr(characters, *reader->next) != NULL;
}

static NSNumber *number_of_double(reader *reader, const unsigned char *start) {
    char brief[SHORT_NUMBER + 1];
    size_t length = (size_t)(reader->next - start);
    size_t longest = reader->rules->longest_number;
    char *text = length <= SHORT_NUMBER ? brief : longest == 0 || length <= longest ? malloc(length + 1) : NULL;
    if (text == NULL)
        return fail_value(reader, APPLEVZ_JSON_NUMBER_TOO_LONG);
    memcpy(text, start, length);
    text[length] = 0;
    prepare_once();
    double value = strtod_l(text, NULL, c_locale);
    if (text != brief)
        free(text);
    return isfinite(value) ? [[NSNumber alloc] initWithDouble:value]
                           : fail_value(reader, APPLEVZ_JSON_NUMBER_TOO_LARGE);
}

static NSNumber *read_number(reader *reader) {
    const unsigned char *start = reader->next;
    bool negative = *start == '-';
    reader->next += negative;
    const unsigned char *digits = reader->next;
    size_t count = count_digits(reader);
    if (count == 0)
        return fail_value(reader, APPLEVZ_JSON_NO_DIGIT);
    if (*digits == '0' && count > 1)
        return fail_value(reader, APPLEVZ_JSON_LEADING_ZERO);
    bool is_integer = true;
    if (is_next(reader, ".")) {
        is_integer = false;
        reader->next++;
        if (count_digits(reader) == 0)
            return fail_value(reader, APPLEVZ_JSON_NO_DIGIT_OF_FRACTION);
    }
    if (is_next(reader, "eE")) {
        is_integer = false;
        reader->next++;
        reader->next += is_next(reader, "+-");
        if (count_digits(reader) == 0)
            return fail_value(reader, APPLEVZ_JSON_NO_DIGIT_OF_EXPONENT);
    }
    uint64_t value = 0;
    for (size_t i = 0; is_integer && i < count; i++)
        is_integer =
            !__builtin_mul_overflow(value, 10, &value) && !__builtin_add_overflow(value, digits[i] - '0', &value);
    bool is_minus_zero = negative && value == 0 && reader->rules->keeps_minus_zero;
    if (!is_integer || is_minus_zero || (negative && value > (uint64_t)INT64_MAX + 1))
        return number_of_double(reader, start);
    if (negative)
        return [[NSNumber alloc] initWithLongLong:(int64_t)(0 - value)];
    return value <= INT64_MAX ? [[NSNumber alloc] initWithLongLong:(int64_t)value]
                              : [[NSNumber alloc] initWithUnsignedLongLong:value];
}

#pragma mark Values

static id read_value(reader *reader);

/// What stands in brackets: up to the closing one, with commas between.
static bool read_members(reader *reader, unsigned char closing, bool (*read)(struct reader *, id), id container) {
    if (++reader->depth > reader->rules->deepest)
        return fail(reader, APPLEVZ_JSON_TOO_DEEP);
    if (!take(reader, closing)) {
        do {
            if (!read(reader, container))
                return false;
        } while (take(reader, ','));
        if (!take(reader, closing))
            return fail(reader, closing == ']' ? APPLEVZ_JSON_INVALID_ARRAY : APPLEVZ_JSON_INVALID_OBJECT);
    }
    reader->depth--;
    return true;
}

static bool read_element(reader *reader, id array) {
    id value = read_value(reader);
    if (value != nil)
        [array addObject:value];
    return value != nil;
}

static bool read_member(reader *reader, id object) {
    if (!take(reader, '"'))
        return fail(reader, APPLEVZ_JSON_NO_NAME);
    NSString *name = read_text(reader);
    if (name == nil)
        return false;
    if (!take(reader, ':'))
        return fail(reader, APPLEVZ_JSON_NO_VALUE_OF_NAME);
    id value = read_value(reader);
    if (value == nil)
        return false;
    if (!reader->rules->takes_names_twice && [object objectForKey:name] != nil)
        return fail(reader, APPLEVZ_JSON_NAME_TWICE);
    [object setObject:value forKey:name];
    return true;
}

static id read_container(reader *reader, unsigned char closing) {
    bool is_array = closing == ']';
    id container = is_array ? [[NSMutableArray alloc] init] : [[NSMutableDictionary alloc] init];
    if (!read_members(reader, closing, is_array ? read_element : read_member, container))
        return nil;
    return reader->rules->has_immutable_containers ? [container copy] : container;
}

static id read_word(reader *reader, const char *word, id value) {
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->next) < length || memcmp(reader->next, word, length) != 0)
        return fail_value(reader, APPLEVZ_JSON_INVALID_VALUE);
    reader->next += length;
    return value;
}

static id read_value(reader *reader) {
    skip_space(reader);
    if (reader->next == reader->end)
        return fail_value(reader, APPLEVZ_JSON_UNEXPECTED_END);
    switch (*reader->next) {
    case '{':
        reader->next++;
        return read_container(reader, '}');
    case '[':
        reader->next++;
        return read_container(reader, ']');
    case '"':
        reader->next++;
        return read_text(reader);
    case 't':
        return read_word(reader, "true", applevz_json_boolean_of(true));
    case 'f':
        return read_word(reader, "false", applevz_json_boolean_of(false));
    case 'n':
        return read_word(reader, "null", [NSNull null]);
    case '-':
    case '0' ... '9':
        return read_number(reader);
    default:
        return fail_value(reader, APPLEVZ_JSON_INVALID_VALUE);
    }
}

id applevz_json_parse(const void *bytes, size_t length, const applevz_json_rules *rules, applevz_json_fault *fault,
                      size_t *place) {
    // Data without bytes has no place for them either.
    const unsigned char *start = length > 0 ? bytes : (const void *)"";
    reader reader = {.start = start, .next = start, .end = start + length, .rules = rules};
    id value = read_value(&reader);
    skip_space(&reader);
    if (value != nil && reader.next != reader.end)
        value = fail_value(&reader, APPLEVZ_JSON_MORE_BEHIND);
    *fault = reader.fault;
    *place = (size_t)(reader.next - reader.start);
    return value;
}
