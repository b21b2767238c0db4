// SPDX-License-Identifier: Apache-2.0
#import "text.h"
#import "applevz.h"
#import "errors.h"
#import <stdlib.h>
#import <string.h>

NSString *applevz_shown_bytes(const char *bytes, size_t length) {
    NSMutableString *shown = [NSMutableString string];
    size_t shown_length = length < 120 ? length : 120;
    for (size_t i = 0; i < shown_length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte >= 0x20 && byte < 0x7f)
            [shown appendFormat:@"%c", byte];
        else
            [shown appendFormat:@"\\x%02x", byte];
    }
    if (shown_length < length)
        [shown appendString:@"…"];
    return shown;
}

NSString *applevz_text(const char *bytes, size_t length, NSString *field, NSError **error) {
    if (length == 0)
        return @"";
    NSString *text = [[NSString alloc] initWithBytes:bytes length:length encoding:NSUTF8StringEncoding];
    if (text != nil)
        return text;
    if (*error == nil)
        *error = applevz_invalid_argument(
            [NSString stringWithFormat:@"Invalid %@.", field],
            [NSString stringWithFormat:@"%@ is not UTF-8 text: \"%@\".", field, applevz_shown_bytes(bytes, length)],
            @"Give text that can be encoded as UTF-8.");
    return @"";
}

/// Of an absolute path. Escaped byte by byte: a file system's names are not in every case text, and
/// Foundation's functions for paths take them for text, in an encoding that depends on the host program's surroundings.
static NSURL *file_url(const char *bytes, size_t length) {
    NSMutableString *text = [NSMutableString stringWithString:@"file://"];
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                     strchr("/-._~", byte) != NULL;
        [text appendFormat:plain ? @"%c" : @"%%%02X", byte];
    }
    return [NSURL URLWithString:text];
}

NSURL *applevz_file_url(const char *bytes, size_t length, NSString *field, NSError **error) {
    if (length > 0 && memchr(bytes, 0, length) != NULL) {
        *error = applevz_invalid_argument([NSString stringWithFormat:@"Invalid %@.", field],
                                          [NSString stringWithFormat:@"%@ holds a NUL byte, which no path can: \"%@\".",
                                                                     field, applevz_shown_bytes(bytes, length)],
                                          @"Give the path of a file.");
        return nil;
    }
    if (length == 0 || bytes[0] != '/') {
        *error = applevz_invalid_argument([NSString stringWithFormat:@"Invalid %@.", field],
                                          [NSString stringWithFormat:@"%@ is not an absolute path: \"%@\".", field,
                                                                     applevz_shown_bytes(bytes, length)],
                                          @"Give the path from the root folder on.");
        return nil;
    }
    return file_url(bytes, length);
}

static int hexadecimal(unsigned char character) {
    if (character >= '0' && character <= '9')
        return character - '0';
    character |= 0x20;
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

NSData *applevz_unescaped(NSString *text) {
    NSData *escaped = [text dataUsingEncoding:NSUTF8StringEncoding];
    const unsigned char *bytes = escaped.bytes;
    NSMutableData *data = [NSMutableData dataWithCapacity:escaped.length];
    for (size_t i = 0; i < escaped.length; i++) {
        unsigned char byte = bytes[i];
        int high = byte == '%' && i + 2 < escaped.length ? hexadecimal(bytes[i + 1]) : -1;
        int low = high >= 0 ? hexadecimal(bytes[i + 2]) : -1;
        if (low >= 0) {
            byte = (unsigned char)(high << 4 | low);
            i += 2;
        }
        [data appendBytes:&byte length:1];
    }
    return data;
}

NSData *applevz_path_of_file_url(NSURL *url) {
    if (!url.isFileURL)
        return nil;
    // Not its path, which is text: not every path is.
    NSString *text = [url.absoluteString substringFromIndex:strlen("file:")];
    if ([text hasPrefix:@"//"]) {
        NSRange root = [text rangeOfString:@"/" options:NSLiteralSearch range:NSMakeRange(2, text.length - 2)];
        if (root.location == NSNotFound)
            return nil;
        text = [text substringFromIndex:root.location];
    }
    NSRange end = [text rangeOfCharacterFromSet:[NSCharacterSet characterSetWithCharactersInString:@"?#"]];
    NSData *path = applevz_unescaped(end.location == NSNotFound ? text : [text substringToIndex:end.location]);
    BOOL is_absolute = path.length > 0 && *(const char *)path.bytes == '/';
    return is_absolute && memchr(path.bytes, 0, path.length) == NULL ? path : nil;
}

char *applevz_copy_bytes(const void *bytes, size_t count, size_t *length) {
    char *copy = malloc(count + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, bytes, count);
    copy[count] = 0;
    *length = count;
    return copy;
}

char *applevz_copy_text(NSString *text, size_t *length) {
    // Lossy, so that text with half a surrogate pair still arrives.
    return applevz_copy_data([text dataUsingEncoding:NSUTF8StringEncoding allowLossyConversion:YES], length);
}

char *applevz_copy_data(NSData *data, size_t *length) {
    return data ? applevz_copy_bytes(data.bytes, data.length, length) : NULL;
}

void applevz_free(void *memory) {
    free(memory);
}
