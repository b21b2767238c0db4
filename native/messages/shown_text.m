// SPDX-License-Identifier: Apache-2.0
#import "shown_text.h"

static BOOL is_hidden(unichar character) {
    return character < 0x20 || (character >= 0x7f && character < 0xa0) ||         // C0, DEL and C1
           character == 0x061c || (character >= 0x200b && character <= 0x200f) || // marks of direction, of no width
           (character >= 0x2028 && character <= 0x202e) || // ends of lines and paragraphs, embeddings, overrides
           (character >= 0x2060 && character <= 0x206f) || character == 0xfeff; // isolates, of no width
}

static BOOL is_high(unichar character) {
    return character >= 0xd800 && character < 0xdc00;
}

static BOOL is_low(unichar character) {
    return character >= 0xdc00 && character < 0xe000;
}

NSString *applevz_shown_text(NSString *text, NSUInteger longest, BOOL keepsLines) {
    NSUInteger length = text.length;
    NSUInteger kept = longest / 8 * 3;
    NSMutableString *shown = [NSMutableString string];
    for (NSUInteger i = 0; i < length; i++) {
        if (length > longest && i == kept) {
            [shown appendString:@" … "];
            i = length - kept;
        }
        unichar character = [text characterAtIndex:i];
        if (is_high(character) && i + 1 < length && is_low([text characterAtIndex:i + 1]))
            [shown appendString:[text substringWithRange:NSMakeRange(i++, 2)]];
        else if (is_high(character) || is_low(character) ||
                 (is_hidden(character) && !(keepsLines && character == '\n')))
            [shown appendFormat:@"\\u%04x", character];
        else
            [shown appendFormat:@"%C", character];
    }
    return shown;
}

NSString *applevz_shown_words(NSString *words) {
    return applevz_shown_text(words, APPLEVZ_LONGEST_SHOWN, YES);
}
