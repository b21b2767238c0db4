// SPDX-License-Identifier: Apache-2.0
// What notices hold is given back when they are taken, when younger ones push them out, and with the machine.
//
// Arguments: a kernel.
#import "bridge_support.h"
#import "machine/machine.h"
#import "waiting/dispatching.h"
#import "waiting/notices.h"
#include <unistd.h>

/// One whose end is seen.
static NSError *counted_error(void) {
    return [NSError errorWithDomain:@"counted" code:1 userInfo:@{@"counted" : [[Counted alloc] init]}];
}

static void add(AppleVZNotices *notices, int count) {
    for (int i = 0; i < count; i++)
        @autoreleasepool {
            [notices add:(applevz_notice){.kind = APPLEVZ_NOTICE_KIND_COMPLETED} error:counted_error()];
        }
}

static void take(AppleVZNotices *notices, int count) {
    for (int i = 0; i < count; i++)
        @autoreleasepool {
            applevz_notice notice;
            NSError *error = nil;
            CHECK([notices take:&notice error:&error]);
            CHECK([error.userInfo[@"counted"] alive] == 0);
        }
}

static void hold_as_many_as_there_may_be(void) {
    dispatch_queue_t queue = applevz_queue_create();
    __weak AppleVZNotices *weak_notices = nil;
    @autoreleasepool {
        AppleVZNotices *notices = [[AppleVZNotices alloc] initWithQueue:queue];
        weak_notices = notices;
        add(notices, APPLEVZ_NOTICE_CAPACITY + 10);
        CHECK_LIVE(APPLEVZ_NOTICE_CAPACITY);
        take(notices, 24);
        CHECK_LIVE(APPLEVZ_NOTICE_CAPACITY - 24);
    }
    // What ends the turn on the queue has the last reference.
    applevz_queue_sync(queue, ^{
                       });
    CHECK(weak_notices == nil);
    CHECK_LIVE(0);
}

static void hold_with_a_machine(const char *kernel) {
    __weak AppleVZNotices *weak_notices = nil;
    @autoreleasepool {
        applevz_configuration *configuration = configuration_create(kernel);
        applevz_machine *machine = NULL;
        SUCCEED(applevz_machine_create(configuration, &machine));
        applevz_configuration_release(configuration);
        SUCCEED(applevz_machine_keep_notices(machine));
        AppleVZNotices *notices = ((__bridge AppleVZMachine *)machine).notices;
        weak_notices = notices;
        add(notices, 3);
        @autoreleasepool {
            applevz_notice notice;
            SUCCEED(applevz_machine_next_notice(machine, &notice));
            CHECK(notice.error != NULL);
            CFRelease(notice.error);
        }
        CHECK_LIVE(2);
        applevz_machine_release(machine);
    }
    // A machine is let go on its queue.
    for (int i = 0; i < 10000 && weak_notices != nil; i++)
        usleep(1000);
    CHECK(weak_notices == nil);
    CHECK_LIVE(0);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    @autoreleasepool {
        hold_as_many_as_there_may_be();
        hold_with_a_machine(arguments[1]);
    }
    return 0;
}
