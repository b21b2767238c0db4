// SPDX-License-Identifier: Apache-2.0
// JSON as Apple's Foundation reads and writes it. Checks.
#import <Foundation/Foundation.h>
#include "check.h"
#include <locale.h>

static NSString *written(id object, NSJSONWritingOptions options) {
    NSError *error = nil;
    NSData *data = [NSJSONSerialization dataWithJSONObject:object options:options error:&error];
    return data != nil ? [[NSString alloc] initWithData:data encoding:NSUTF8StringEncoding] : nil;
}

static id readFrom(NSString *text, NSJSONReadingOptions options) {
    NSError *error = nil;
    id object = [NSJSONSerialization JSONObjectWithData:[text dataUsingEncoding:NSUTF8StringEncoding]
                                                options:options
                                                  error:&error];
    CHECK((object == nil) == (error != nil));
    if (error != nil)
        CHECK([error.domain isEqualToString:NSCocoaErrorDomain] && error.code == NSPropertyListReadCorruptError);
    return object;
}

static BOOL refuses(id object, NSJSONWritingOptions options) {
    @try {
        (void)[NSJSONSerialization dataWithJSONObject:object options:options error:NULL];
    } @catch (NSException *exception) {
        return [exception.name isEqualToString:NSInvalidArgumentException];
    }
    return NO;
}

static void checkWriting(void) {
    NSDictionary *object = @{@"b" : @[ @1, @2.5, @YES, NSNull.null ], @"a10" : @"/tmp", @"a9" : @{}};
    CHECK([written(object, NSJSONWritingSortedKeys)
        isEqualToString:@"{\"a9\":{},\"a10\":\"\\/tmp\",\"b\":[1,2.5,true,null]}"]);
    CHECK([written(object, NSJSONWritingSortedKeys | NSJSONWritingWithoutEscapingSlashes)
        isEqualToString:@"{\"a9\":{},\"a10\":\"/tmp\",\"b\":[1,2.5,true,null]}"]);
    CHECK([written(
        @{@"a" : @[ @1, @[] ],
          @"b" : @{}},
        NSJSONWritingSortedKeys | NSJSONWritingPrettyPrinted)
        isEqualToString:@"{\n  \"a\" : [\n    1,\n    [\n\n    ]\n  ],\n  \"b\" : {\n\n  }\n}"]);
    CHECK([written(@[ @"\"\\\b\f\n\r\t\x01\x1f€😀\x7f" ], 0)
        isEqualToString:@"[\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f€😀\x7f\"]"]);
    CHECK([written(@[ @0.1, @1e300, @-7, @(LLONG_MIN), @(ULLONG_MAX), @'c', @NO ], 0)
        isEqualToString:@"[0.1,1e+300,-7,-9223372036854775808,18446744073709551615,99,false]"]);
    CHECK([written(@"text", NSJSONWritingFragmentsAllowed) isEqualToString:@"\"text\""]);
    CHECK([written(@42, NSJSONWritingFragmentsAllowed) isEqualToString:@"42"]);
    CHECK(refuses(@"text", 0) && refuses(@42, 0) && refuses(NSDate.date, NSJSONWritingFragmentsAllowed));
    CHECK(refuses(@[ NSDate.date ], 0) &&
          refuses(
              @{@1 : @2}, 0) &&
          refuses(@[ @(NAN) ], 0) && refuses(@[ @(INFINITY) ], 0));
    CHECK([NSJSONSerialization isValidJSONObject:object] && ![NSJSONSerialization isValidJSONObject:@"text"]);
    CHECK(![NSJSONSerialization isValidJSONObject:@[ @(-INFINITY) ]]);
    unichar half = 0xd800;
    NSError *error = nil;
    CHECK([NSJSONSerialization dataWithJSONObject:@[ [NSString stringWithFormat:@"%C", half] ]
                                          options:0
                                            error:&error] == nil);
    CHECK(error != nil);
    NSMutableArray *deep = [NSMutableArray array];
    for (int i = 0; i < 100000; i++)
        deep = [NSMutableArray arrayWithObject:deep];
    CHECK(refuses(deep, 0));
    // Its end is as deep.
    while (deep.count > 0) {
        NSMutableArray *inner = deep[0];
        [deep removeAllObjects];
        deep = inner;
    }
    NSOutputStream *stream = [NSOutputStream outputStreamToMemory];
    [stream open];
    CHECK([NSJSONSerialization writeJSONObject:@[ @1 ] toStream:stream options:0 error:NULL] == 3);
}

static void checkReading(void) {
    NSDictionary *object =
        readFrom(@" {\"a\" : [1, -2, 3.5e1, true, false, null, \"\\u20ac\\ud83d\\ude00\\/\\n\"]}\n", 0);
    CHECK([object isEqual:@{@"a" : @[ @1, @-2, @35.0, @YES, @NO, NSNull.null, @"€😀/\n" ]}]);
    CHECK(strcmp([object[@"a"][0] objCType], @encode(double)) != 0);
    CHECK([readFrom(@"[18446744073709551615, -9223372036854775808]", 0) isEqual:@[ @(ULLONG_MAX), @(LLONG_MIN) ]]);
    NSMutableDictionary *changed = readFrom(@"{\"a\":[{}]}", NSJSONReadingMutableContainers);
    [changed[@"a"][0] setObject:@1 forKey:@"b"];
    CHECK([changed isEqual:@{@"a" : @[ @{@"b" : @1} ]}]);
    NSMutableString *leaf = readFrom(@"[\"a\"]", NSJSONReadingMutableLeaves)[0];
    [leaf appendString:@"b"];
    CHECK([leaf isEqualToString:@"ab"]);
    CHECK([readFrom(@"7", NSJSONReadingFragmentsAllowed) isEqual:@7]);
    CHECK([readFrom(@"null", NSJSONReadingFragmentsAllowed) isEqual:NSNull.null]);
    NSArray *wrong = @[
        // clang-format off
        @"", @" ", @"7", @"\"a\"", @"{", @"[", @"[1", @"[1,", @"[1,]", @"[1 2]", @"{\"a\"}", @"{\"a\":}", @"{\"a\":1,}", @"{a:1}",
        @"[01]", @"[1.]", @"[.5]", @"[+1]", @"[1e]", @"[-]", @"[tru]", @"[nul", @"[\"\\x\"]", @"[\"\\u12\"]", @"[\"\\ud800\"]",
        @"[\"\\udc00\"]", @"[\"a\nb\"]", @"[\"a]", @"[] []", @"[1]x", @"[1e999]", @"]", @"[NaN]", @"{\"a\":1 \"b\":2}", @"{1:2}",
        // clang-format on
    ];
    for (NSString *text in wrong)
        CHECK(readFrom(text, 0) == nil);
    // What the reader of foreign messages refuses, and Apple's does not.
    CHECK([readFrom(@"{\"a\":1,\"a\":2}", 0) isEqual:@{@"a" : @2}]);
    CHECK([readFrom(@"[\"\\u0000\"]", 0)[0] length] == 1);
    NSString *digits = [@"" stringByPaddingToLength:300 withString:@"9" startingAtIndex:0];
    CHECK([readFrom([NSString stringWithFormat:@"[%@]", digits], 0)[0] doubleValue] == 1e300);
    CHECK(signbit([readFrom(@"[-0]", 0)[0] doubleValue]));
    CHECK(![readFrom(@"[[]]", 0)[0] isKindOfClass:[NSMutableArray class]]);
    CHECK(![readFrom(@"{}", 0) isKindOfClass:[NSMutableDictionary class]]);
    // Nothing but the depth decides: 512 levels and no more, be there 100,000.
    for (NSUInteger depth = 510; depth < 200000; depth = depth < 514 ? depth + 1 : depth * 3) {
        NSString *text = [@"" stringByPaddingToLength:depth withString:@"[" startingAtIndex:0];
        NSString *whole = [text stringByAppendingString:[@"" stringByPaddingToLength:depth
                                                                          withString:@"]"
                                                                     startingAtIndex:0]];
        CHECK((readFrom(whole, 0) != nil) == (depth <= 512));
        CHECK(readFrom(text, 0) == nil);
    }
    // In the other encodings, and what is of none.
    for (NSNumber *encoding in @[
             @(NSUTF16LittleEndianStringEncoding), @(NSUTF16BigEndianStringEncoding),
             @(NSUTF32LittleEndianStringEncoding), @(NSUTF32BigEndianStringEncoding)
         ]) {
        NSData *data = [@"[\"€\"]" dataUsingEncoding:encoding.unsignedIntegerValue];
        CHECK([[NSJSONSerialization JSONObjectWithData:data options:0 error:NULL] isEqual:@[ @"€" ]]);
    }
    CHECK([[NSJSONSerialization JSONObjectWithData:[NSData dataWithBytes:"\xef\xbb\xbf[]" length:5]
                                           options:0
                                             error:NULL] isEqual:@[]]);
    for (NSUInteger length = 0; length < 5; length++)
        CHECK([NSJSONSerialization JSONObjectWithData:[NSData dataWithBytes:"\xff\xfe\0\0\0" length:length]
                                              options:0
                                                error:NULL] == nil);
    CHECK([NSJSONSerialization JSONObjectWithData:[NSData dataWithBytes:"[\"\xff\"]" length:5] options:0
                                            error:NULL] == nil);
    CHECK([NSJSONSerialization JSONObjectWithData:[NSData dataWithBytes:"[\0]" length:3] options:0 error:NULL] == nil);
    NSInputStream *stream = [NSInputStream inputStreamWithData:[NSData dataWithBytes:"[1]" length:3]];
    [stream open];
    CHECK([[NSJSONSerialization JSONObjectWithStream:stream options:0 error:NULL] isEqual:@[ @1 ]]);
}

int main(void) {
    @autoreleasepool {
        setlocale(LC_ALL, "");
        checkWriting();
        checkReading();
    }
    return VERDICT;
}
