// SPDX-License-Identifier: Apache-2.0
// The reader of what others say: what it takes, as what, and what it refuses.
#import "json_grammar.h"
#import "json_reader.h"
#import "json_values.h"
#import "shown_text.h"
#import <locale.h>
#import <math.h>
#import <stdio.h>
#import <stdlib.h>
#import <string.h>

enum { LONGEST = 1 << 20 };

static int failures;

static void check(BOOL right, int line, NSString *what) {
    if (right)
        return;
    failures++;
    printf("line %d: %s\n", line, what.UTF8String);
}
#define CHECK(condition) check(!!(condition), __LINE__, @ #condition)

/// From memory that ends where the text ends, so that a sanitizer sees who looks further.
static id read_bytes(const void *bytes, size_t length, NSString **reason) {
    char *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, bytes, length);
    id value = applevz_json_read(copy, length, LONGEST, reason);
    free(copy);
    return value;
}

static id read_text(const char *text) {
    return read_bytes(text, strlen(text), NULL);
}

static void takes(const char *text, id value, int line) {
    id found = read_text(text);
    check([found isEqual:value], line, [NSString stringWithFormat:@"%s became %@", text, found]);
}
#define TAKES(text, value) takes(text, value, __LINE__)

static void refuses(const char *text, const char *words, int line) {
    NSString *reason = nil;
    id found = read_bytes(text, strlen(text), &reason);
    check(found == nil && [reason rangeOfString:[NSString stringWithUTF8String:words]].location != NSNotFound, line,
          [NSString stringWithFormat:@"%s became %@, reason %@", text, found, reason]);
}
#define REFUSES(text, words) refuses(text, words, __LINE__)

static NSString *characters(const unichar *units, NSUInteger count) {
    return [[NSString alloc] initWithCharacters:units length:count];
}

static void values(void) {
    TAKES("null", [NSNull null]);
    TAKES(" [ ] \r\n\t", @[]);
    TAKES("{}", @{});
    TAKES("[1,[2,{\"a\":[]}],\"b\"]", (@[ @1, @[ @2, @{@"a" : @[]} ], @"b" ]));
    TAKES("{\"a\": {\"b\": null}, \"\": \"\"}", (@{@"a" : @{@"b" : [NSNull null]}, @"" : @""}));
    CHECK(read_text("true") == applevz_json_boolean_of(true) && read_text("false") == applevz_json_boolean_of(false));
    CHECK(read_text("1") != applevz_json_boolean_of(true) && read_text("0") != applevz_json_boolean_of(false));
    // clang-format off
    for (const char *const *text = (const char *const[]){"", " ", "[", "]", "{", "[1", "[1,", "[1,]", "[,1]", "{\"a\"}",
                                                         "{\"a\":}", "{\"a\":1,}", "{1:2}", "{a:1}", "[1 2]", "1 2", "tru",
                                                         "nullx", "True", "NaN", "Infinity", "'a'", "[1]]", "\xEF\xBB\xBF[]",
                                                         "{\"a\":1 \"b\":2}", "[//\n1]", "\xFF", NULL};
        // clang-format on
        *text != NULL; text++)
        REFUSES(*text, "");
}

static void numbers(void) {
    TAKES("0", @0);
    TAKES("-0", @0);
    TAKES("-9223372036854775808", @INT64_MIN);
    TAKES("9223372036854775807", @INT64_MAX);
    TAKES("18446744073709551615", @UINT64_MAX);
    TAKES("18446744073709551616", @18446744073709551616.0);
    TAKES("-9223372036854775809", @-9223372036854775809.0);
    TAKES("0.1", @0.1);
    TAKES("-1.5e3", @-1500.0);
    TAKES("2.2250738585072014E-308", @2.2250738585072014E-308);
    TAKES("1e+2", @100.0);
    for (const char *const *text =
             (const char *const[]){"-", "+1", "01", "-01", "1.", ".5", "1.e2", "1e", "1e+", "0x10", "1,5", "--1", NULL};
         *text != NULL; text++)
        REFUSES(*text, "");
    REFUSES("[1e400]", "too large");
    char digits[300];
    memset(digits, '9', sizeof digits);
    digits[sizeof digits - 1] = 0;
    REFUSES(digits, "too long");
    // Where a locale has another point, a number is read as ever.
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL)
        TAKES("0.5", @0.5);
    setlocale(LC_NUMERIC, "C");
}

static void texts(void) {
    TAKES("\"\"", @"");
    TAKES("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"", @"a\"\\/\b\f\n\r\tA");
    TAKES("\"\xC3\xA4\xE2\x82\xAC\"", @"ä€");
    TAKES("\"\xF0\x9F\x98\x80\"", characters((unichar[]){0xd83d, 0xde00}, 2));
    TAKES("\"\\uD83D\\uDE00\"", characters((unichar[]){0xd83d, 0xde00}, 2));
    TAKES("\"x\\u00e4\"", @"xä");
    TAKES("\"\xEF\xBB\xBFx\"", characters((unichar[]){0xfeff, 'x'}, 2));
    TAKES("\"\xF4\x8F\xBF\xBF\"", characters((unichar[]){0xdbff, 0xdfff}, 2));
    for (const char *const *text = (const char *const[]){"\"",
                                                         "\"a",
                                                         "\"\\",
                                                         "\"\\\"",
                                                         "\"\\x\"",
                                                         "\"\\u12\"",
                                                         "\"\\u12g4\"",
                                                         "\"\\ud800\"",
                                                         "\"\\udc00\"",
                                                         "\"\\ud800\\u0041\"",
                                                         "\"\\ud800\\ud800\"",
                                                         "\"\\ud800x\"",
                                                         "\"\\u0000\"",
                                                         "\"a\nb\"",
                                                         "\"a\x1f\"",
                                                         "\"\x80\"",
                                                         "\"\xC0\x80\"",
                                                         "\"\xC1\xBF\"",
                                                         "\"\xE0\x80\x80\"",
                                                         "\"\xE2\x82\"",
                                                         "\"\xED\xA0\x80\"",
                                                         "\"\xF0\x80\x80\x80\"",
                                                         "\"\xF4\x90\x80\x80\"",
                                                         "\"\xF5\x80\x80\x80\"",
                                                         "\"\xE4\"",
                                                         "\"\xFF\"",
                                                         NULL};
         *text != NULL; text++)
        REFUSES(*text, "text");
    CHECK(read_bytes("\"a\0b\"", 5, NULL) == nil);
    CHECK(read_bytes("\"\\\0\"", 4, NULL) == nil);
}

static void bounds(void) {
    for (size_t depth = 31; depth <= 34; depth++) {
        char text[256];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        CHECK((read_bytes(text, 2 * depth, NULL) != nil) == (depth <= APPLEVZ_JSON_DEPTH));
    }
    // As deep as it goes, of all kinds, closed and not.
    for (const char *const *part = (const char *const[]){"[", "{\"a\":", "[{\"a\":", "[0,", NULL}; *part != NULL;
         part++) {
        NSMutableData *data = [NSMutableData data];
        while (data.length < 1 << 19)
            [data appendBytes:*part length:strlen(*part)];
        NSString *reason = nil;
        CHECK(read_bytes(data.bytes, data.length, &reason) == nil);
        CHECK([reason hasPrefix:@"nests more than 32 deep"]);
    }
    // Side by side is not deep.
    NSMutableString *wide = [NSMutableString stringWithString:@"["];
    for (int i = 0; i < 10000; i++)
        [wide appendString:@"[[]],"];
    [wide appendString:@"0]"];
    CHECK([read_text(wide.UTF8String) count] == 10001);
    NSString *reason = nil;
    CHECK(applevz_json_read(NULL, 0, LONGEST, &reason) == nil && [reason hasPrefix:@"is not JSON"]);
    CHECK(applevz_json_read("[   ]", 5, 4, &reason) == nil);
    CHECK([reason isEqualToString:@"has 5 bytes, of which 4 are read at most"]);
    CHECK([applevz_json_read("[ ]", 3, 3, NULL) isEqual:@[]]);
    REFUSES("{\"a\":1,\"b\":2,\"a\":3}", "has a name twice");
    REFUSES("{\"a\":1,\"\\u0061\":3}", "has a name twice");
    CHECK(applevz_json_read_object("[1]", 3, LONGEST, &reason) == nil &&
          [reason isEqualToString:@"is no object of JSON"]);
}

static void types(void) {
    NSDictionary *object = read_text("{\"text\":\"t\",\"zero\":0,\"one\":1,\"true\":true,\"false\":false,\"null\":null,"
                                     "\"array\":[],\"object\":{},\"half\":0.5,\"whole\":2.0,\"negative\":-1,"
                                     "\"large\":18446744073709551615,\"larger\":18446744073709551616}");
    bool boolean = true;
    int64_t integer = 77;
    uint64_t number = 77;
    for (NSString *name in [object.allKeys arrayByAddingObject:@"missing"]) {
        CHECK((applevz_json_text(object, name) != nil) == [name isEqualToString:@"text"]);
        CHECK((applevz_json_array(object, name) != nil) == [name isEqualToString:@"array"]);
        CHECK((applevz_json_object(object, name) != nil) == [name isEqualToString:@"object"]);
        CHECK(applevz_json_is_true(object, name) == [name isEqualToString:@"true"]);
        CHECK(applevz_json_boolean(object, name, &boolean) == ([@[ @"true", @"false" ] containsObject:name]));
        CHECK(applevz_json_integer(object, name, INT64_MIN, INT64_MAX, &integer) ==
              ([@[ @"zero", @"one", @"negative" ] containsObject:name]));
        CHECK(applevz_json_unsigned(object, name, &number) == ([@[ @"zero", @"one", @"large" ] containsObject:name]));
        CHECK(!applevz_json_integer(object, name, 2, 3, &integer));
    }
    CHECK(applevz_json_boolean(object, @"false", &boolean) && !boolean);
    CHECK(applevz_json_integer(object, @"negative", -1, 0, &integer) && integer == -1);
    CHECK(applevz_json_unsigned(object, @"large", &number) && number == UINT64_MAX);
    // Of what is no object there is nothing.
    for (id other in @[ @[], @"text", @1, [NSNull null] ]) {
        CHECK(applevz_json_text(other, @"a") == nil && applevz_json_object(other, @"a") == nil);
        CHECK(!applevz_json_is_true(other, @"a") && !applevz_json_unsigned(other, @"a", &number));
    }
    CHECK(applevz_json_text(nil, @"a") == nil && !applevz_json_integer(nil, @"a", 0, 1, &integer));
}

static void shown(void) {
    NSString *hostile =
        characters((unichar[]){0x1b, '[', '2', 'J', 0x7f, 0x9b, 0x202e, 0x2066, 0xfeff, '\r', '\n', 0}, 12);
    CHECK([applevz_shown_words(hostile)
        isEqualToString:@"\\u001b[2J\\u007f\\u009b\\u202e\\u2066\\ufeff\\u000d\n\\u0000"]);
    CHECK([applevz_shown_text(@"a\nb", 100, NO) isEqualToString:@"a\\u000ab"]);
    CHECK([applevz_shown_words(@"Ärger: 5 € 😀") isEqualToString:@"Ärger: 5 € 😀"]);
    NSString *longText = [@"" stringByPaddingToLength:100000 withString:@"abc\x1b" startingAtIndex:0];
    CHECK(applevz_shown_words(longText).length < 6 * APPLEVZ_LONGEST_SHOWN);
    CHECK([applevz_shown_words(longText) rangeOfString:@"\x1b"].location == NSNotFound);
    CHECK([applevz_shown_text([@"" stringByPaddingToLength:1000 withString:@"a" startingAtIndex:0], 80, NO) length] ==
          63);
}

int main(void) {
    @autoreleasepool {
        values();
        numbers();
        texts();
        bounds();
        types();
        shown();
    }
    return failures == 0 ? 0 : 1;
}
