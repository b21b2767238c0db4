// SPDX-License-Identifier: Apache-2.0
// The CoreFoundation subset: bridging, ownership, and what the functions answer.
#import "../checks.h"
#import <CoreFoundation/CoreFoundation.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static CFErrorRef makeError(void) {
    @autoreleasepool {
        NSDictionary *userInfo = @{
            NSLocalizedDescriptionKey : @"It does not work: ä€😀",
            NSLocalizedFailureReasonErrorKey : @"because",
            NSLocalizedRecoverySuggestionErrorKey : @"try",
            @"counted" : [Counted new],
        };
        return (__bridge_retained CFErrorRef)[NSError errorWithDomain:NSPOSIXErrorDomain code:-7 userInfo:userInfo];
    }
}

static void errors(void) {
    CFErrorRef error = makeError();
    CHECK(CFGetRetainCount(error) == 1);
    CHECK(CFRetain(error) == error && CFGetRetainCount(error) == 2);
    CFRelease(error);
    CHECK(CFErrorGetCode(error) == -7);
    CHECK(CFEqual(CFErrorGetDomain(error), kCFErrorDomainPOSIX));
    CHECK(CFGetTypeID(error) == CFErrorGetTypeID() && CFGetTypeID(CFErrorGetDomain(error)) == CFStringGetTypeID());
    CFStringRef reason = CFErrorCopyFailureReason(error);
    CFStringRef suggestion = CFErrorCopyRecoverySuggestion(error);
    CFStringRef description = CFErrorCopyDescription(error);
    CHECK(CFEqual(reason, CFSTR("because")) && CFEqual(suggestion, CFSTR("try")));
    CFDictionaryRef userInfo = CFErrorCopyUserInfo(error);
    CHECK(CFDictionaryGetCount(userInfo) == 4 && CFGetTypeID(userInfo) == CFDictionaryGetTypeID());
    CHECK(CFEqual(CFDictionaryGetValue(userInfo, kCFErrorLocalizedFailureReasonKey), reason));
    CFRelease(error);
    CHECK_LIVE(1);
    CFRelease(userInfo);
    CFRelease(reason);
    CFRelease(suggestion);
    CFRelease(description);
    CHECK_LIVE(0);

    @autoreleasepool {
        CFErrorRef bare = CFErrorCreate(kCFAllocatorDefault, CFSTR("domain"), 3, NULL);
        CHECK(CFErrorCopyFailureReason(bare) == NULL && CFErrorCopyRecoverySuggestion(bare) == NULL);
        description = CFErrorCopyDescription(bare);
        CHECK(CFStringGetLength(description) > 0);
        CFRelease(description);
        userInfo = CFErrorCopyUserInfo(bare);
        CHECK(userInfo && CFDictionaryGetCount(userInfo) == 0);
        CFRelease(userInfo);
        NSError *taken = (__bridge_transfer NSError *)bare;
        CHECK([taken code] == 3 && [[taken domain] isEqualToString:@"domain"]);
    }
}

static void strings(void) {
    CFStringRef string = CFStringCreateWithCString(NULL, "aä€😀", kCFStringEncodingUTF8);
    CHECK(CFStringGetLength(string) == 5);
    CHECK(CFStringGetMaximumSizeForEncoding(5, kCFStringEncodingUTF8) >= 10);
    CHECK(CFStringGetMaximumSizeForEncoding(1, 0xdead) == kCFNotFound);
    CHECK(CFStringGetMaximumSizeForEncoding(__LONG_MAX__, kCFStringEncodingUTF8) == kCFNotFound);
    char buffer[16];
    CHECK(CFStringGetCString(string, buffer, sizeof buffer, kCFStringEncodingUTF8));
    CHECK(strcmp(buffer, "aä€😀") == 0);
    CHECK(CFStringGetCString(string, buffer, 11, kCFStringEncodingUTF8));
    CHECK(!CFStringGetCString(string, buffer, 10, kCFStringEncodingUTF8));
    CHECK(!CFStringGetCString(string, buffer, 0, kCFStringEncodingUTF8));
    CHECK(!CFStringGetCString(string, buffer, sizeof buffer, kCFStringEncodingASCII));
    CHECK(!CFStringGetCString(string, buffer, sizeof buffer, 0xdead));
    UInt8 bytes[16];
    CFIndex used = -1;
    CFRange all = CFRangeMake(0, 5);
    CHECK(CFStringGetBytes(string, all, kCFStringEncodingUTF8, 0, false, NULL, 0, &used) == 5 && used == 10);
    // Whole characters only: four of the eight bytes left are the last one's, and there are two.
    CHECK(CFStringGetBytes(string, all, kCFStringEncodingUTF8, 0, false, bytes, 8, &used) == 3 && used == 6);
    CHECK(CFStringGetBytes(string, all, kCFStringEncodingASCII, '?', false, bytes, 16, &used) == 5 && used == 4);
    CHECK(memcmp(bytes, "a???", 4) == 0);
    CHECK(CFStringGetBytes(string, all, kCFStringEncodingASCII, 0, false, bytes, 16, &used) == 1 && used == 1);
    CHECK(CFStringGetBytes(string, CFRangeMake(1, 1), kCFStringEncodingUTF16LE, 0, false, bytes, 16, &used) == 1);
    CHECK(used == 2 && bytes[0] == 0xe4 && bytes[1] == 0);
    CHECK(CFStringCreateWithBytes(NULL, (const UInt8 *)"\xff\xfe\xff", 3, kCFStringEncodingUTF8, false) == NULL);
    CFStringRef copy = CFStringCreateCopy(NULL, string);
    CHECK(CFEqual(copy, string) && CFHash(copy) == CFHash(string));
    CFRelease(copy);
    CFRelease(string);
    CFStringRef empty = CFStringCreateWithCString(NULL, "", kCFStringEncodingUTF8);
    CHECK(CFStringGetLength(empty) == 0 && CFStringGetCString(empty, buffer, 1, kCFStringEncodingUTF8));
    CHECK(buffer[0] == 0);
    CFRelease(empty);
}

static void bridging(void) {
    @autoreleasepool {
        CFTypeRef retained = CFBridgingRetain([Counted new]);
        CHECK_LIVE(1);
        Counted *object = CFBridgingRelease(retained);
        CHECK([object alive] == 0);
        CHECK(CFBridgingRetain(nil) == NULL && CFBridgingRelease(NULL) == nil);
        CFAutorelease(CFBridgingRetain([Counted new]));
        CHECK_LIVE(2);
        CFStringRef description = CFCopyDescription((__bridge CFTypeRef)object);
        CHECK(CFStringGetLength(description) > 0);
        CFRelease(description);
    }
    CHECK_LIVE(0);
}

// As Apple documents: it ends the process.
static void releaseOfNullEndsTheProcess(void) {
    pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        CFTypeRef null = NULL;
        CFRelease(null);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void) {
    errors();
    strings();
    bridging();
    releaseOfNullEndsTheProcess();
    return 0;
}
