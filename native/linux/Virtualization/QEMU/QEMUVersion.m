// SPDX-License-Identifier: Apache-2.0
#import "QEMUVersion.h"
#import "../VZErrors+Private.h"
#import "QEMUDescriptor.h"
#import "QEMUProgram.h"
#import "QEMUSpawn.h"
#import <dispatch/poller.h>
#import <fcntl.h>
#import <stdio.h>
#import <unistd.h>

enum { VERSION_MILLISECONDS = 3000 };

extern char **environ;

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
    __attribute__((objc_precise_lifetime)) QEMUDescriptor *nowhere = [QEMUDescriptor openPath:@"/dev/null" flags:O_RDWR error:NULL];
    __attribute__((objc_precise_lifetime)) NSArray<QEMUDescriptor *> *output = [QEMUDescriptor pipeWithError:NULL];
    if (nowhere == nil || output == nil)
        return nil;
    const char *name = path.UTF8String;
    char *const arguments[] = {(char *)name, (char *)"--version", NULL};
    const int descriptors[] = {nowhere.number, output[1].number, nowhere.number};
    qemu_spawn_plan plan = {.path = name,
                            .arguments = arguments,
                            .environment = environ,
                            .descriptors = descriptors,
                            .descriptor_count = 3,
                            .prepare = prepare,
                            .context = context};
    const qemu_spawn_plan *plan_pointer = &plan;
    __block int pidfd = -1;
    __block int failure = 0;
    dispatch_poller_perform_sync(^{
        const char *step;
        failure = qemu_spawn(plan_pointer, &pidfd, &step);
    });
    if (failure != 0)
        return nil;
    if (!qemu_await_exit(pidfd, VERSION_MILLISECONDS))
        qemu_kill(pidfd);
    if (qemu_await_exit(pidfd, VERSION_MILLISECONDS))
        qemu_reap(pidfd);
    close(pidfd);
    char text[256] = "";
    ssize_t length = read(output[0].number, text, sizeof text - 1);
    return length > 0 ? [[NSString alloc] initWithBytes:text length:(NSUInteger)length encoding:NSISOLatin1StringEncoding]
                      : nil;
}

NSError *QEMUVersionErrorOfProgram(NSString *path) {
    int major, minor;
    const char *text = QEMUVersionTextOfProgram(path, NULL, NULL).UTF8String;
    if (text == NULL || sscanf(text, "QEMU emulator version %d.%d", &major, &minor) != 2)
        return nil;
    return version_error(major, minor);
}
