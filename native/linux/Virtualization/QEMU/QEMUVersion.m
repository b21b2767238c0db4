// SPDX-License-Identifier: Apache-2.0
#import "QEMUVersion.h"
#import "../VZErrors+Private.h"
#import "QEMUProcess.h"
#import "QEMUProgram.h"
#import <stdio.h>

enum { VERSION_MILLISECONDS = 3000 };

static NSError *version_error(int major, int minor) {
    if (major > QEMUMinimumMajorVersion || (major == QEMUMinimumMajorVersion && minor >= QEMUMinimumMinorVersion))
        return nil;
    return VZErrorWithReason(VZErrorNotSupported, @"This version of QEMU is too old.",
                             [NSString stringWithFormat:@"QEMU %d.%d is installed; %d.%d or later is needed.", major, minor,
                                                        QEMUMinimumMajorVersion, QEMUMinimumMinorVersion],
                             @"Install a newer QEMU, or name one in the environment variable APPLEVZ_QEMU.", nil);
}

NSError *QEMUVersionErrorOfGreeting(NSDictionary *greeting) {
    NSDictionary *versions = greeting[@"version"];
    NSDictionary *version = [versions isKindOfClass:[NSDictionary class]] ? versions[@"qemu"] : nil;
    if (![version isKindOfClass:[NSDictionary class]] || ![version[@"major"] isKindOfClass:[NSNumber class]] ||
        ![version[@"minor"] isKindOfClass:[NSNumber class]])
        return VZErrorWithReason(VZErrorNotSupported, @"This version of QEMU is not known.",
                                 @"Its greeting does not say which it is.", nil, nil);
    return version_error([version[@"major"] intValue], [version[@"minor"] intValue]);
}

NSString *QEMUVersionOfGreeting(NSDictionary *greeting) {
    NSDictionary *version = greeting[@"version"][@"qemu"];
    return [NSString stringWithFormat:@"%@.%@", version[@"major"], version[@"minor"]];
}

NSString *QEMUVersionTextOfProgram(NSString *path, qemu_child_function prepare, void *context) {
    qemu_process_failure failure;
    QEMUProcess *process = [[QEMUProcess alloc] initWithPath:path
                                                   arguments:@[ @"--version" ]
                                                 descriptors:@[]
                                                     prepare:prepare
                                                     context:context
                                                     failure:&failure];
    if ([process hasEndedWithin:VERSION_MILLISECONDS])
        [process reap];
    else
        [process endNow];
    NSString *words = process.lastWords;
    return words.length > 0 ? words : nil;
}

NSError *QEMUVersionErrorOfProgram(NSString *path) {
    int major, minor;
    NSString *text = QEMUVersionTextOfProgram(path, NULL, NULL) ?: @"";
    NSRange place = [text rangeOfString:@"QEMU emulator version "];
    if (place.location == NSNotFound ||
        sscanf([text substringFromIndex:NSMaxRange(place)].UTF8String, "%d.%d", &major, &minor) != 2)
        return nil;
    return version_error(major, minor);
}
