// SPDX-License-Identifier: Apache-2.0
#import "QEMUVersion.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "host/HostProcess.h"
#import "QEMUProgram.h"
#import <json_values.h>
#import <limits.h>
#import <shown_text.h>
#import <stdio.h>

static BOOL is_at_least(int major, int minor, int wanted_major, int wanted_minor) {
    return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
}

static NSError *version_error(int major, int minor) {
    if (is_at_least(major, minor, QEMUMinimumMajorVersion, QEMUMinimumMinorVersion))
        return nil;
    return VZErrorWithReason(VZErrorNotSupported, @"This version of QEMU is too old.",
                             [NSString stringWithFormat:@"QEMU %d.%d is installed; %d.%d or later is needed.", major,
                                                        minor, QEMUMinimumMajorVersion, QEMUMinimumMinorVersion],
                             @"Install a newer QEMU, or name one in the environment variable APPLEVZ_QEMU.", nil);
}

static BOOL version_of_greeting(NSDictionary *greeting, int64_t *major, int64_t *minor) {
    NSDictionary *version = applevz_json_object(applevz_json_object(greeting, @"version"), @"qemu");
    return applevz_json_integer(version, @"major", 0, INT_MAX, major) &&
           applevz_json_integer(version, @"minor", 0, INT_MAX, minor);
}

NSError *QEMUVersionErrorOfGreeting(NSDictionary *greeting) {
    int64_t major = 0, minor = 0;
    if (!version_of_greeting(greeting, &major, &minor))
        return VZErrorWithReason(VZErrorNotSupported, @"This version of QEMU is not known.",
                                 @"Its greeting does not say which it is.", nil, nil);
    return version_error((int)major, (int)minor);
}

NSString *QEMUVersionOfGreeting(NSDictionary *greeting) {
    int64_t major = 0, minor = 0;
    version_of_greeting(greeting, &major, &minor);
    return [NSString stringWithFormat:@"%lld.%lld", (long long)major, (long long)minor];
}

BOOL QEMUVersionIsAtLeast(NSString *version, int major, int minor) {
    int numbers[2];
    return sscanf(version.UTF8String, "%d.%d", &numbers[0], &numbers[1]) == 2 &&
           is_at_least(numbers[0], numbers[1], major, minor);
}

NSString *QEMUVersionTextOfProgram(NSString *path, NSTimeInterval seconds, host_child_function prepare, void *context,
                                   BOOL *isLate) {
    host_process_failure failure;
    HostProcess *process = [[HostProcess alloc] initWithPath:path
                                                   arguments:@[ @"--version" ]
                                                 descriptors:@[]
                                                     prepare:prepare
                                                     context:context
                                           mayGainPrivileges:NO
                                                 confinement:NULL
                                                controlGroup:nil
                                                     failure:&failure];
    BOOL hasEnded = process == nil || [process hasEndedWithin:(int)(seconds * 1000)];
    if (hasEnded)
        [process reap];
    else
        [process endNow];
    if (isLate != NULL)
        *isLate = !hasEnded;
    NSString *words = process.lastWords;
    return words.length > 0 ? words : nil;
}

static BOOL read_version(NSString *path, int *major, int *minor, NSError **error) {
    NSTimeInterval seconds = QEMUQuestionSeconds();
    BOOL isLate = NO;
    NSString *text = QEMUVersionTextOfProgram(path, seconds, NULL, NULL, &isLate) ?: @"";
    NSRange place = [text rangeOfString:@"QEMU emulator version "];
    if (place.location != NSNotFound &&
        sscanf([text substringFromIndex:NSMaxRange(place)].UTF8String, "%d.%d", major, minor) == 2)
        return YES;
    NSString *reason = nil;
    if (isLate)
        reason = [NSString stringWithFormat:@"%@ --version did not end within %g s.", VZQuoted(path), seconds];
    else if (text.length > 0)
        reason = [NSString stringWithFormat:@"%@ --version says: %@", VZQuoted(path), applevz_shown_words(text)];
    else
        reason = [NSString stringWithFormat:@"%@ --version says nothing.", VZQuoted(path)];
    NSString *advice = @"Install QEMU again, or name another one in the environment variable APPLEVZ_QEMU.";
    return VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"QEMU does not say its version.", reason,
                                             isLate ? QEMULateAdvice : advice, nil));
}

NSError *QEMUVersionErrorOfProgram(NSString *path) {
    int major, minor;
    return read_version(path, &major, &minor, NULL) ? version_error(major, minor) : nil;
}

NSString *QEMUVersionOfProgram(NSString *path, NSError **error) {
    int major, minor;
    return read_version(path, &major, &minor, error) ? [NSString stringWithFormat:@"%d.%d", major, minor] : nil;
}
