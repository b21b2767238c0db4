// SPDX-License-Identifier: Apache-2.0
// The writer of JSON in the place of GNUstep's, which knows one option and writes an object without what it does not
// know.
#import <Foundation/Foundation.h>

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

enum { WRITTEN_DEPTH = 512 };

typedef struct {
    NSMutableData *text;
    NSJSONWritingOptions options;
    int depth;
} writer;

/// What makes an object no JSON; nil if nothing does.
static NSString *wrong_with(id object, int depth) {
    if (depth > WRITTEN_DEPTH)
        return @"Too many nested arrays or dictionaries in JSON write";
    if ([object isKindOfClass:[NSString class]] || object == NSNull.null)
        return nil;
    if ([object isKindOfClass:[NSNumber class]])
        return isfinite([object doubleValue]) ? nil : @"Invalid number value (NaN or infinity) in JSON write";
    if ([object isKindOfClass:[NSArray class]]) {
        for (id element in object) {
            NSString *wrong = wrong_with(element, depth + 1);
            if (wrong != nil)
                return wrong;
        }
        return nil;
    }
    if ([object isKindOfClass:[NSDictionary class]]) {
        for (id key in object) {
            if (![key isKindOfClass:[NSString class]])
                return @"Invalid (non-string) key in JSON dictionary";
            NSString *wrong = wrong_with([object objectForKey:key], depth + 1);
            if (wrong != nil)
                return wrong;
        }
        return nil;
    }
    return [NSString stringWithFormat:@"Invalid type in JSON write (%@)", NSStringFromClass([object class])];
}

static void put(writer *writer, const char *text) {
    [writer->text appendBytes:text length:strlen(text)];
}

static void put_line_end(writer *writer) {
    put(writer, "\n");
    for (int i = 0; i < writer->depth; i++)
        put(writer, "  ");
}

static BOOL write_string(writer *writer, NSString *string) {
    // nil for half of a surrogate pair.
    NSData *bytes = [string dataUsingEncoding:NSUTF8StringEncoding];
    if (bytes == nil)
        return NO;
    const char *next = bytes.bytes, *end = next + bytes.length;
    put(writer, "\"");
    while (next < end) {
        const char *first = next;
        while (next < end && (unsigned char)*next >= 0x20 && *next != '"' && *next != '\\' && *next != '/')
            next++;
        [writer->text appendBytes:first length:(NSUInteger)(next - first)];
        if (next == end)
            break;
        char character = *next++;
        const char characters[] = "\"\\/\b\f\n\r\t", escapes[] = "\"\\/bfnrt";
        const char *found = character != '\0' ? strchr(characters, character) : NULL;
        char escape[7] = {character};
        if (found == NULL)
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)character);
        else if (character != '/' || !(writer->options & NSJSONWritingWithoutEscapingSlashes))
            snprintf(escape, sizeof escape, "\\%c", escapes[found - characters]);
        put(writer, escape);
    }
    put(writer, "\"");
    return YES;
}

static void write_number(writer *writer, NSNumber *number) {
    char text[64];
    // GNUstep has a class for the two.
    if ([number class] == [@YES class]) {
        put(writer, number.boolValue ? "true" : "false");
    } else if (strchr("fd", *number.objCType) != NULL) {
        double value = number.doubleValue;
        // The shortest that is read as the same.
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, value);
            if (strtod(text, NULL) == value)
                break;
        }
        // A decimal point of the program's locale is none of JSON's.
        for (char *next = text; *next != '\0'; next++)
            if (strchr("+-0123456789e", *next) == NULL)
                *next = '.';
        put(writer, text);
    } else if (strchr("CSILQ", *number.objCType) != NULL) {
        snprintf(text, sizeof text, "%llu", number.unsignedLongLongValue);
        put(writer, text);
    } else {
        put(writer, number.description.UTF8String);
    }
}

static NSArray<NSString *> *keys_of(NSDictionary *dictionary, NSJSONWritingOptions options) {
    if (!(options & NSJSONWritingSortedKeys))
        return dictionary.allKeys;
    return [dictionary.allKeys sortedArrayUsingComparator:^(id first, id second) {
        NSComparisonResult order = [first compare:second options:NSNumericSearch];
        return order != NSOrderedSame ? order : [first compare:second options:NSLiteralSearch];
    }];
}

static BOOL write_value(writer *writer, id value) {
    BOOL pretty = (writer->options & NSJSONWritingPrettyPrinted) != 0;
    if ([value isKindOfClass:[NSString class]])
        return write_string(writer, value);
    if ([value isKindOfClass:[NSNumber class]]) {
        write_number(writer, value);
        return YES;
    }
    if (value == NSNull.null) {
        put(writer, "null");
        return YES;
    }
    BOOL array = [value isKindOfClass:[NSArray class]];
    NSUInteger count = 0;
    put(writer, array ? "[" : "{");
    writer->depth++;
    for (id element in array ? value : keys_of(value, writer->options)) {
        if (count++ > 0)
            put(writer, ",");
        if (pretty)
            put_line_end(writer);
        if (!array) {
            if (!write_string(writer, element))
                return NO;
            put(writer, pretty ? " : " : ":");
        }
        if (!write_value(writer, array ? element : [value objectForKey:element]))
            return NO;
    }
    writer->depth--;
    if (pretty) {
        if (count == 0)
            put(writer, "\n");
        put_line_end(writer);
    }
    put(writer, array ? "]" : "}");
    return YES;
}

static BOOL is_container(id object) {
    return [object isKindOfClass:[NSArray class]] || [object isKindOfClass:[NSDictionary class]];
}

@implementation NSJSONSerialization (ApplevzWriting)

+ (BOOL)isValidJSONObject:(id)object {
    @autoreleasepool {
        return is_container(object) && wrong_with(object, 1) == nil;
    }
}

+ (NSData *)dataWithJSONObject:(id)object options:(NSJSONWritingOptions)options error:(NSError **)error {
    NSString *wrong = is_container(object) || (object != nil && (options & NSJSONWritingFragmentsAllowed))
                          ? wrong_with(object, 1)
                          : @"Invalid top-level type in JSON write";
    if (wrong != nil)
        [NSException raise:NSInvalidArgumentException
                    format:@"*** +[NSJSONSerialization %@]: %@", NSStringFromSelector(_cmd), wrong];
    writer writer = {.text = [NSMutableData data], .options = options};
    BOOL written;
    @autoreleasepool {
        written = write_value(&writer, object);
    }
    if (written)
        return writer.text;
    if (error != NULL)
        *error =
            [NSError errorWithDomain:NSCocoaErrorDomain
                                code:NSPropertyListWriteStreamError + 1 // NSPropertyListWriteInvalidError
                            userInfo:@{
                                NSLocalizedDescriptionKey : @"The data couldn’t be written because it isn’t in the "
                                                            @"correct format.",
                                NSDebugDescriptionErrorKey : @"A string has half of a surrogate pair in it.",
                            }];
    return nil;
}

+ (NSInteger)writeJSONObject:(id)object
                    toStream:(NSOutputStream *)stream
                     options:(NSJSONWritingOptions)options
                       error:(NSError **)error {
    NSData *data = [self dataWithJSONObject:object options:options error:error];
    NSInteger written = 0;
    while (written < (NSInteger)data.length) {
        NSInteger count = [stream write:(const uint8_t *)data.bytes + written
                              maxLength:data.length - (NSUInteger)written];
        if (count <= 0) {
            if (error != NULL)
                *error = stream.streamError;
            return 0;
        }
        written += count;
    }
    return written;
}

@end
