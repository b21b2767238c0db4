// SPDX-License-Identifier: Apache-2.0
#import "QEMUVersion.h"
#import "support/VZErrors+Private.h"
#import "host/HostProcess.h"
#import "QEMUProgram.h"
#import <json_values.h>
#import <limits.h>
#import <stdio.h>

enum { VERSION_MILLISECONDS = 3000 };

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

NSString *QEMUVersionTextOfProgram(NSString *path, host_child_function prepare, void *context) {
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
    if ([process hasEndedWithin:VERSION_MILLISECONDS])
        [process reap];
    else
        [process endNow];
    NSString *words = process.lastWords;
    return words.length > 0 ? words : nil;
}

static BOOL read_version(NSString *path, int *major, int *minor) {
    NSString *text = QEMUVersionTextOfProgram(path, NULL, NULL) ?: @"";
    NSRange place = [text rangeOfString:@"QEMU emulator version "];
    return place.location != NSNotFound &&
           sscanf([text substringFromIndex:NSMaxRange(place)].UTF8String, "%d.%d", major, minor) == 2;
}

NSError *QEMUVersionErrorOfProgram(NSString *path) {
    int major, minor;
    return read_version(path, &major, &minor) ? version_error(major, minor) : nil;
}

NSString *QEMUVersionOfProgram(NSString *path) {
    int major, minor;
    return read_version(path, &major, &minor) ? [NSString stringWithFormat:@"%d.%d", major, minor] : nil;
}
