// SPDX-License-Identifier: Apache-2.0
// GNUstep's way of reading a file leaves the caller's error as it was where there is no file.
#import <Foundation/Foundation.h>

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

static void refuse_text(NSInteger code, NSStringEncoding encoding, NSURL *url, NSError **error) {
    if (error == NULL)
        return;
    NSString *reason = code == NSFileReadUnknownStringEncodingError
                           ? @"The text encoding of its contents couldn’t be determined."
                           : [NSString stringWithFormat:@"Its contents are not text in the encoding %@.",
                                                        [NSString localizedNameOfStringEncoding:encoding]];
    NSMutableDictionary *userInfo = [@{
        NSLocalizedDescriptionKey :
            [NSString stringWithFormat:@"The file “%@” couldn’t be opened. %@", url.path.lastPathComponent, reason],
        NSLocalizedFailureReasonErrorKey : reason,
    } mutableCopy];
    if (url.isFileURL)
        userInfo[NSFilePathErrorKey] = url.path;
    if (code == NSFileReadInapplicableStringEncodingError)
        userInfo[NSStringEncodingErrorKey] = @(encoding);
    *error = [NSError errorWithDomain:NSCocoaErrorDomain code:code userInfo:userInfo];
}

/// UTF-16 begins with a mark; all else is UTF-8.
static NSStringEncoding encoding_of(NSData *data) {
    const unsigned char *bytes = data.bytes;
    BOOL marked =
        data.length >= 2 && ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff));
    return marked ? NSUnicodeStringEncoding : NSUTF8StringEncoding;
}

@implementation NSString (ApplevzReading)

- (instancetype)initWithContentsOfFile:(NSString *)path encoding:(NSStringEncoding)encoding error:(NSError **)error {
    return [self initWithContentsOfURL:[NSURL fileURLWithPath:path] encoding:encoding error:error];
}

- (instancetype)initWithContentsOfFile:(NSString *)path
                          usedEncoding:(NSStringEncoding *)encoding
                                 error:(NSError **)error {
    return [self initWithContentsOfURL:[NSURL fileURLWithPath:path] usedEncoding:encoding error:error];
}

- (instancetype)initWithContentsOfURL:(NSURL *)url encoding:(NSStringEncoding)encoding error:(NSError **)error {
    NSData *data = [NSData dataWithContentsOfURL:url options:0 error:error];
    if (data == nil)
        return nil;
    self = [self initWithData:data encoding:encoding];
    if (self == nil)
        refuse_text(NSFileReadInapplicableStringEncodingError, encoding, url, error);
    return self;
}

- (instancetype)initWithContentsOfURL:(NSURL *)url usedEncoding:(NSStringEncoding *)encoding error:(NSError **)error {
    NSData *data = [NSData dataWithContentsOfURL:url options:0 error:error];
    if (data == nil)
        return nil;
    NSStringEncoding found = encoding_of(data);
    self = [self initWithData:data encoding:found];
    if (self == nil)
        refuse_text(NSFileReadUnknownStringEncodingError, found, url, error);
    else if (encoding != NULL)
        *encoding = found;
    return self;
}

@end
