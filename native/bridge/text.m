// SPDX-License-Identifier: Apache-2.0
#import "text.h"
#import "applevz.h"
#import "errors.h"
#import <stdlib.h>
#import <string.h>

/// The bytes as they can be shown: what is not printable ASCII as \xNN, at most the first 120.
static NSString *shown_bytes(const char *bytes, size_t length) {
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
        *error = applevz_invalid_argument([NSString stringWithFormat:@"Invalid %@.", field],
                                          [NSString stringWithFormat:@"%@ is not UTF-8 text: \"%@\".", field,
                                                                     shown_bytes(bytes, length)],
                                          @"Give text that can be encoded as UTF-8.");
    return @"";
}

NSURL *applevz_file_url(const char *bytes, size_t length, NSString *field, NSError **error) {
    if (length > 0 && memchr(bytes, 0, length) != NULL) {
        *error = applevz_invalid_argument([NSString stringWithFormat:@"Invalid %@.", field],
                                          [NSString stringWithFormat:@"%@ holds a NUL byte, which no path can: \"%@\".",
                                                                     field, shown_bytes(bytes, length)],
                                          @"Give the path of a file.");
        return nil;
    }
    if (length == 0 || bytes[0] != '/') {
        *error = applevz_invalid_argument([NSString stringWithFormat:@"Invalid %@.", field],
                                          [NSString stringWithFormat:@"%@ is not an absolute path: \"%@\".", field,
                                                                     shown_bytes(bytes, length)],
                                          @"Give the path from the root folder on.");
        return nil;
    }
    NSError *refusal = nil;
    NSString *path = applevz_text(bytes, length, field, &refusal);
    if (refusal != nil) {
        *error = refusal;
        return nil;
    }
    return [NSURL fileURLWithPath:path isDirectory:NO];
}

static char *copy_bytes(const void *bytes, size_t count, size_t *length) {
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
    return data ? copy_bytes(data.bytes, data.length, length) : NULL;
}

void applevz_free(void *memory) {
    free(memory);
}
