// SPDX-License-Identifier: Apache-2.0
#ifndef JSON_GRAMMAR_H
#define JSON_GRAMMAR_H

#import <Foundation/Foundation.h>
#import <stdbool.h>

NS_ASSUME_NONNULL_BEGIN

// The grammar of JSON (RFC 8259, in strict UTF-8), for two readers that differ in their rules: json_reader.h reads what
// others wrote, NSJSONSerialization on Linux what a program in Objective-C asks for. Both need a bound of the depth: a
// reader calls itself for each level, and a few kilobytes of "[" would end the process.

/// In what the readers differ.
typedef struct {
    /// The levels of arrays and objects that may nest.
    unsigned deepest;
    /// The characters of a number that becomes a double; 0 for no bound.
    size_t longest_number;
    /// Whether a text may have the character NUL, at which a C string ends.
    bool takes_nul;
    /// Whether the last of several values of one name counts. Two readers would not agree on what it means.
    bool takes_names_twice;
    /// Whether -0 is the double; else it is the integer 0.
    bool keeps_minus_zero;
    bool has_mutable_texts;
    bool has_immutable_containers;
} applevz_json_rules;

typedef enum {
    APPLEVZ_JSON_NO_FAULT,
    APPLEVZ_JSON_UNEXPECTED_END,
    APPLEVZ_JSON_INVALID_VALUE,
    APPLEVZ_JSON_MORE_BEHIND,
    APPLEVZ_JSON_TOO_DEEP,
    APPLEVZ_JSON_INVALID_ARRAY,
    APPLEVZ_JSON_INVALID_OBJECT,
    APPLEVZ_JSON_NO_NAME,
    APPLEVZ_JSON_NO_VALUE_OF_NAME,
    APPLEVZ_JSON_NAME_TWICE,
    APPLEVZ_JSON_UNTERMINATED_TEXT,
    APPLEVZ_JSON_CONTROL_CHARACTER,
    APPLEVZ_JSON_NUL,
    APPLEVZ_JSON_INVALID_ESCAPE,
    APPLEVZ_JSON_INVALID_ENCODING,
    APPLEVZ_JSON_NO_DIGIT,
    APPLEVZ_JSON_LEADING_ZERO,
    APPLEVZ_JSON_NO_DIGIT_OF_FRACTION,
    APPLEVZ_JSON_NO_DIGIT_OF_EXPONENT,
    APPLEVZ_JSON_NUMBER_TOO_LONG,
    APPLEVZ_JSON_NUMBER_TOO_LARGE,
} applevz_json_fault;

/// The value that the bytes are, all of them. Objects, arrays and texts become NSDictionary, NSArray and NSString, null
/// NSNull, numbers NSNumber: integers of up to 64 bits as they are, all others as double. nil, with the fault and its
/// place, if they are none by the rules. It raises no exception.
id _Nullable applevz_json_parse(const void *_Nullable bytes, size_t length, const applevz_json_rules *rules,
                                applevz_json_fault *fault, size_t *place);

/// What it gives for true and false, which is the same object as no other number that it gives.
NSNumber *applevz_json_boolean_of(bool value);

NS_ASSUME_NONNULL_END

#endif
