// SPDX-License-Identifier: Apache-2.0
// NSError as Apple's Foundation has it: the keys' values, and what an error says of itself.
#import "../checks.h"
#import <CoreFoundation/CoreFoundation.h>
#include <string.h>

#define CHECK_TEXT(text, expected) checkText((text), (expected), __FILE__, __LINE__)

static void checkText(NSString *text, NSString *expected, const char *file, int line) {
    if (text != expected && ![text isEqualToString:expected]) {
        fprintf(stderr, "%s:%d: \"%s\" is not \"%s\"\n", file, line, text.UTF8String, expected.UTF8String);
        exit(1);
    }
}

static NSError *errorOf(NSDictionary *userInfo) {
    return [NSError errorWithDomain:@"VZErrorDomain" code:4 userInfo:userInfo];
}

static void keysAreApples(void) {
    CHECK_TEXT(NSLocalizedDescriptionKey, @"NSLocalizedDescription");
    CHECK_TEXT(NSLocalizedFailureReasonErrorKey, @"NSLocalizedFailureReason");
    CHECK_TEXT(NSLocalizedRecoverySuggestionErrorKey, @"NSLocalizedRecoverySuggestion");
    CHECK_TEXT(NSLocalizedRecoveryOptionsErrorKey, @"NSLocalizedRecoveryOptions");
    CHECK_TEXT(NSRecoveryAttempterErrorKey, @"NSRecoveryAttempter");
    CHECK_TEXT(NSUnderlyingErrorKey, @"NSUnderlyingError");
    CHECK_TEXT(NSFilePathErrorKey, @"NSFilePath");
    CHECK_TEXT(NSURLErrorKey, @"NSURL");
    CHECK_TEXT(NSStringEncodingErrorKey, @"NSStringEncoding");
    CHECK_TEXT(NSLocalizedFailureErrorKey, @"NSLocalizedFailure");
    CHECK_TEXT(NSDebugDescriptionErrorKey, @"NSDebugDescription");
    CHECK_TEXT(NSHelpAnchorErrorKey, @"NSHelpAnchor");
    CHECK_TEXT((__bridge NSString *)kCFErrorUnderlyingErrorKey, @"NSUnderlyingError");
}

static void anErrorIsDescribedByWhatItHas(void) {
    CHECK_TEXT(errorOf(nil).localizedDescription, @"The operation couldn’t be completed. (VZErrorDomain error 4.)");
    CHECK_TEXT(errorOf(nil).description, @"Error Domain=VZErrorDomain Code=4 \"(null)\"");
    CHECK(errorOf(nil).userInfo.count == 0 && errorOf(nil).userInfo != nil &&
          errorOf(nil).localizedFailureReason == nil);

    NSError *error = errorOf(@{@"NSLocalizedFailureReason" : @"Why."});
    CHECK_TEXT(error.localizedDescription, @"The operation couldn’t be completed. Why.");
    CHECK_TEXT(error.description,
               @"Error Domain=VZErrorDomain Code=4 \"Why.\" UserInfo={NSLocalizedFailureReason=Why.}");

    error = errorOf(@{@"NSLocalizedFailure" : @"What.", @"NSLocalizedFailureReason" : @"Why."});
    CHECK_TEXT(error.localizedDescription, @"What. Why.");
    CHECK_TEXT(error.localizedFailureReason, @"Why.");
    CHECK_TEXT(([NSString stringWithFormat:@"%@", error]),
               @"Error Domain=VZErrorDomain Code=4 \"Why.\" UserInfo={NSLocalizedFailure=What., "
               @"NSLocalizedFailureReason=Why.}");
    CHECK_TEXT(errorOf(@{@"NSLocalizedFailure" : @"What."}).localizedDescription, @"What.");

    NSError *cause = [NSError errorWithDomain:NSPOSIXErrorDomain code:2 userInfo:@{NSFilePathErrorKey : @"/nowhere"}];
    error = errorOf(@{
        NSLocalizedDescriptionKey : @"All of it.",
        NSLocalizedFailureErrorKey : @"What.",
        NSLocalizedRecoverySuggestionErrorKey : @"Do.",
        NSLocalizedRecoveryOptionsErrorKey : @[ @"Yes", @"No" ],
        NSHelpAnchorErrorKey : @"help",
        NSUnderlyingErrorKey : cause,
    });
    CHECK_TEXT(error.localizedDescription, @"All of it.");
    CHECK_TEXT(error.localizedRecoverySuggestion, @"Do.");
    CHECK_TEXT(error.localizedRecoveryOptions[1], @"No");
    CHECK_TEXT(error.helpAnchor, @"help");
    CHECK([error.underlyingErrors isEqual:@[ cause ]]);
    NSString *beneath = [NSString
        stringWithFormat:@"NSUnderlyingError=%p {Error Domain=NSPOSIXErrorDomain Code=2 \"No such file or directory\" "
                         @"UserInfo={NSFilePath=/nowhere}}}",
                         (__bridge void *)cause];
    CHECK([error.description hasSuffix:beneath]);

    // A value may be anything, and is no text then.
    error = errorOf(@{NSLocalizedDescriptionKey : @1, NSLocalizedFailureReasonErrorKey : [NSNull null]});
    CHECK_TEXT(error.localizedDescription, @"The operation couldn’t be completed. (VZErrorDomain error 4.)");
    CHECK(error.localizedFailureReason == nil);
}

static void theSystemHasWordsForItsNumbers(void) {
    NSError *error = [NSError errorWithDomain:NSPOSIXErrorDomain code:13 userInfo:nil];
    CHECK_TEXT(error.localizedDescription, @"The operation couldn’t be completed. Permission denied");
    CHECK_TEXT(error.localizedFailureReason, @"Permission denied");
    CHECK_TEXT(error.description, @"Error Domain=NSPOSIXErrorDomain Code=13 \"Permission denied\"");
}

static void whatGNUstepMakesHasApplesKeysToo(void) {
    // Written as GNUstep's code has them, in a library that finds no other.
    NSError *cause = errorOf(nil);
    NSError *error = errorOf(@{
        @"NSLocalizedDescriptionKey" : @"All.",
        @"NSLocalizedFailureReasonErrorKey" : @"Why.",
        @"NSUnderlyingErrorKey" : cause,
        @"NSFilePathErrorKey" : @"/file",
        @"own" : @"kept",
        @7 : @"kept",
    });
    CHECK_TEXT(error.localizedDescription, @"All.");
    CHECK_TEXT(error.localizedFailureReason, @"Why.");
    NSDictionary *expected = @{
        @"NSLocalizedDescription" : @"All.",
        @"NSLocalizedFailureReason" : @"Why.",
        @"NSUnderlyingError" : cause,
        @"NSFilePath" : @"/file",
        @"own" : @"kept",
        @7 : @"kept",
    };
    CHECK([error.userInfo isEqual:expected]);

    error = nil;
    CHECK(![[NSFileManager defaultManager] removeItemAtPath:@"/nowhere/at/all" error:&error]);
    CHECK([error.localizedDescription length] > 0);
    CHECK_TEXT(error.userInfo[@"NSLocalizedDescription"], error.localizedDescription);
    for (NSString *key in error.userInfo)
        CHECK(![key hasSuffix:@"Key"]);
}

int main(void) {
    @autoreleasepool {
        keysAreApples();
        anErrorIsDescribedByWhatItHas();
        theSystemHasWordsForItsNumbers();
        whatGNUstepMakesHasApplesKeysToo();
    }
    return 0;
}
