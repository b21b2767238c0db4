// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

#pragma clang diagnostic ignored "-Wobjc-protocol-method-implementation"

static NSData *contents(NSURL *url, NSError **error) {
    NSFileHandle *file = [NSFileHandle fileHandleForReadingFromURL:url error:error];
    return [file readDataToEndOfFileAndReturnError:error];
}

@implementation NSData (ApplevzReading)

+ (instancetype)dataWithContentsOfFile:(NSString *)path options:(NSDataReadingOptions)options error:(NSError **)error {
    return [[self alloc] initWithContentsOfFile:path options:options error:error];
}

+ (instancetype)dataWithContentsOfURL:(NSURL *)url options:(NSDataReadingOptions)options error:(NSError **)error {
    return [[self alloc] initWithContentsOfURL:url options:options error:error];
}

- (instancetype)initWithContentsOfFile:(NSString *)path options:(NSDataReadingOptions)options error:(NSError **)error {
    return [self initWithContentsOfURL:[NSURL fileURLWithPath:path] options:options error:error];
}

- (instancetype)initWithContentsOfURL:(NSURL *)url options:(NSDataReadingOptions)options error:(NSError **)error {
    (void)options;
    NSData *data = contents(url, error);
    return data != nil ? [self initWithData:data] : nil;
}

@end
