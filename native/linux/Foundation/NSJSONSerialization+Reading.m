// SPDX-License-Identifier: Apache-2.0
// The reader of JSON in the place of GNUstep's, which takes what is no JSON, reads past the end of short data, and goes
// down into what is nested until the stack ends. The grammar is that of native/messages, by the rules of macOS' reader.
#import <Foundation/Foundation.h>
#import <json_grammar.h>

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

// macOS' own.
enum { DEPTH = 512 };

static const char *words_of(applevz_json_fault fault) {
    switch (fault) {
    case APPLEVZ_JSON_UNEXPECTED_END:
        return "Unexpected end of file";
    case APPLEVZ_JSON_MORE_BEHIND:
        return "Garbage at end";
    case APPLEVZ_JSON_TOO_DEEP:
        return "Too many nested arrays or dictionaries";
    case APPLEVZ_JSON_INVALID_ARRAY:
        return "Badly formed array";
    case APPLEVZ_JSON_INVALID_OBJECT:
        return "Badly formed object";
    case APPLEVZ_JSON_NO_NAME:
        return "No string";
    case APPLEVZ_JSON_NO_VALUE_OF_NAME:
        return "No value for key in object";
    case APPLEVZ_JSON_UNTERMINATED_TEXT:
        return "Unterminated string";
    case APPLEVZ_JSON_CONTROL_CHARACTER:
        return "Unescaped control character";
    case APPLEVZ_JSON_INVALID_ESCAPE:
        return "Invalid escape sequence";
    case APPLEVZ_JSON_INVALID_ENCODING:
        return "Invalid UTF-8";
    case APPLEVZ_JSON_NO_DIGIT:
        return "No digit in a number";
    case APPLEVZ_JSON_LEADING_ZERO:
        return "Number with leading zero";
    case APPLEVZ_JSON_NO_DIGIT_OF_FRACTION:
        return "No digit behind the point of a number";
    case APPLEVZ_JSON_NO_DIGIT_OF_EXPONENT:
        return "No digit in an exponent";
    case APPLEVZ_JSON_NUMBER_TOO_LARGE:
        return "Number wound up as infinity";
    default:
        return "Invalid value";
    }
}

/// By the byte order mark, or by which of the first bytes, those of an ASCII character, are NUL.
static NSStringEncoding encoding_of_json(const unsigned char *bytes, NSUInteger length) {
    unsigned char first[4] = {1, 1, 1, 1};
    // Empty data has no bytes to point to.
    if (length > 0)
        memcpy(first, bytes, MIN(length, sizeof first));
    if (memcmp(first, "\xff\xfe\0\0", 4) == 0 || (first[0] != 0 && first[1] == 0 && first[2] == 0))
        return NSUTF32LittleEndianStringEncoding;
    if (memcmp(first, "\0\0\xfe\xff", 4) == 0 || (first[0] == 0 && first[1] == 0))
        return NSUTF32BigEndianStringEncoding;
    if (memcmp(first, "\xff\xfe", 2) == 0 || (first[0] != 0 && first[1] == 0))
        return NSUTF16LittleEndianStringEncoding;
    if (memcmp(first, "\xfe\xff", 2) == 0 || first[0] == 0)
        return NSUTF16BigEndianStringEncoding;
    return NSUTF8StringEncoding;
}

static NSData *utf8_of(NSData *data) {
    NSStringEncoding encoding = encoding_of_json(data.bytes, data.length);
    if (encoding != NSUTF8StringEncoding)
        data = [[[NSString alloc] initWithData:data encoding:encoding] dataUsingEncoding:NSUTF8StringEncoding];
    if (data.length >= 3 && memcmp(data.bytes, "\xef\xbb\xbf", 3) == 0)
        data = [data subdataWithRange:NSMakeRange(3, data.length - 3)];
    return data;
}

@implementation NSJSONSerialization (ApplevzReading)

+ (id)JSONObjectWithData:(NSData *)data options:(NSJSONReadingOptions)options error:(NSError **)error {
    if (data == nil)
        [NSException raise:NSInvalidArgumentException format:@"data parameter is nil"];
    id value = nil;
    NSError *failure = nil;
    @autoreleasepool {
        __attribute__((objc_precise_lifetime)) NSData *text = utf8_of(data);
        applevz_json_rules rules = {
            .deepest = DEPTH,
            .takes_nul = true,
            .takes_names_twice = true,
            .keeps_minus_zero = true,
            .has_mutable_texts = (options & NSJSONReadingMutableLeaves) != 0,
            .has_immutable_containers = (options & NSJSONReadingMutableContainers) == 0,
        };
        applevz_json_fault fault = APPLEVZ_JSON_NO_FAULT;
        size_t place = 0;
        if (text != nil)
            value = applevz_json_parse(text.bytes, text.length, &rules, &fault, &place);
        const char *words = text != nil ? words_of(fault) : "Invalid encoding";
        BOOL container = [value isKindOfClass:[NSArray class]] || [value isKindOfClass:[NSDictionary class]];
        if (value != nil && !container && !(options & NSJSONReadingFragmentsAllowed)) {
            value = nil;
            place = 0;
            words = "JSON text did not start with array or object and option to allow fragments not set";
        }
        if (value == nil) {
            NSString *wrong = [NSString stringWithFormat:@"%s around byte %zu.", words, place];
            failure =
                [NSError errorWithDomain:NSCocoaErrorDomain
                                    code:NSPropertyListReadCorruptError
                                userInfo:@{
                                    NSLocalizedDescriptionKey : @"The data couldn’t be read because it isn’t in the "
                                                                @"correct format.",
                                    NSDebugDescriptionErrorKey : wrong,
                                }];
        }
    }
    if (error != NULL && failure != nil)
        *error = failure;
    return value;
}

+ (id)JSONObjectWithStream:(NSInputStream *)stream options:(NSJSONReadingOptions)options error:(NSError **)error {
    NSMutableData *data = [NSMutableData data];
    uint8_t bytes[4096];
    NSInteger count;
    while ((count = [stream read:bytes maxLength:sizeof bytes]) > 0)
        [data appendBytes:bytes length:(NSUInteger)count];
    if (count == 0)
        return [self JSONObjectWithData:data options:options error:error];
    if (error != NULL)
        *error = stream.streamError;
    return nil;
}

@end
