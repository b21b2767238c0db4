// SPDX-License-Identifier: Apache-2.0
#import "QEMUMigration.h"
#import "support/VZErrors+Private.h"
#import "QEMU/program/QEMUVersion.h"
#import <fcntl.h>
#import <json_values.h>
#import <shown_text.h>

// How often a QEMU that says nothing is asked whether it still answers: one that does not is given up.
enum { WATCH_SECONDS = 2 };

// From one look at whether a migration that is over is over for QEMU's commands, too, to the next.
enum { FIRST_LOOK_MICROSECONDS = 500, SLOWEST_LOOK_MICROSECONDS = 50 * 1000 };

static NSString *const DescriptorName = @"state";

// The number of the descriptor set that a stream's file is in while it is sent; those of a command line are small.
enum { STREAM_SET = 1 << 20 };

typedef void (^Completion)(NSError *_Nullable error);

/// Ends the migration under way, if it is still this one.
static void finish(QEMUInstance *instance, NSError *_Nullable error, Completion completion) {
    if (instance.migrationHandler == nil)
        return;
    // The handler may be what keeps the completion.
    Completion last = completion;
    instance.migrationHandler = nil;
    last(error);
}

/// Calls `next` when QEMU takes commands for the machine again: its thread that sends tells of the end first, and lets
/// go of the machine then (migration/migration.c). `cont` in between is refused.
static void settle(QEMUInstance *instance, useconds_t pause, dispatch_block_t next) {
    __weak QEMUInstance *weak_instance = instance;
    [instance
           execute:@"query-status"
         arguments:nil
        completion:^(id result, NSError *refusal) {
            QEMUInstance *strong_instance = weak_instance;
            if (strong_instance == nil || (refusal != nil && !strong_instance.isAnswering))
                return;
            if (![applevz_json_text(result, @"status") isEqualToString:@"finish-migrate"]) {
                next();
                return;
            }
            dispatch_after(dispatch_time(DISPATCH_TIME_NOW, pause * (int64_t)NSEC_PER_USEC), strong_instance.queue, ^{
                QEMUInstance *waiting = weak_instance;
                if (waiting.isAnswering)
                    settle(waiting, MIN(2 * pause, (useconds_t)SLOWEST_LOOK_MICROSECONDS), next);
            });
        }];
}

/// Why QEMU says that it failed.
static void finish_failed(QEMUInstance *instance, Completion completion) {
    __weak QEMUInstance *weak_instance = instance;
    [instance execute:@"query-migrate"
            arguments:nil
           completion:^(id result, NSError *refusal) {
               QEMUInstance *strong_instance = weak_instance;
               // One that cannot read its state ends.
               if (strong_instance == nil || (refusal != nil && !strong_instance.isAnswering))
                   return;
               NSString *said = applevz_json_text(result, @"error-desc");
               NSString *words = refusal.localizedFailureReason
                                     ?: (said != nil ? applevz_shown_words(said) : @"QEMU gave no reason.");
               finish(strong_instance,
                      VZErrorWithReason(VZErrorInternal, @"QEMU could not move the machine's state.", words, nil, nil),
                      completion);
           }];
}

static void watch(QEMUInstance *instance) {
    __weak QEMUInstance *weak_instance = instance;
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, WATCH_SECONDS * (int64_t)NSEC_PER_SEC), instance.queue, ^{
        QEMUInstance *strong_instance = weak_instance;
        if (strong_instance == nil || strong_instance.migrationHandler == nil || !strong_instance.isAnswering)
            return;
        [strong_instance execute:@"query-status"
                       arguments:nil
                      completion:^(id result, NSError *refusal) {
                          (void)result;
                          (void)refusal; // an answer that does not come ends the connection, and the process with it
                          QEMUInstance *answering = weak_instance;
                          if (answering != nil)
                              watch(answering);
                      }];
    });
}

/// Whether the address of a file is "file:". With "fd:" later versions take it for a socket or a pipe, and refuse what
/// is neither; earlier ones know nothing else, or take no descriptor set with it.
static BOOL takes_files(QEMUInstance *instance) {
    return QEMUVersionIsAtLeast(instance.version, 9, 1);
}

/// One command after the other; then QEMU's events.
static void execute(QEMUInstance *instance, NSArray<NSArray *> *commands, HostDescriptor *file, Completion completion) {
    if (commands.count == 0) {
        watch(instance);
        return;
    }
    NSString *name = commands[0][0];
    NSDictionary *arguments = commands[0][1];
    NSArray<NSArray *> *rest = [commands subarrayWithRange:NSMakeRange(1, commands.count - 1)];
    __weak QEMUInstance *weak_instance = instance;
    [instance execute:name
            arguments:arguments
           descriptor:[@[ @"getfd", @"add-fd" ] containsObject:name] ? file : nil
           completion:^(id result, NSError *refusal) {
               (void)result;
               QEMUInstance *strong_instance = weak_instance;
               if (strong_instance == nil || (refusal != nil && !strong_instance.isAnswering))
                   return;
               if (refusal == nil) {
                   execute(strong_instance, rest, file, completion);
                   return;
               }
               // What the other commands are for has not begun, but to let the file go.
               for (NSArray *command in rest)
                   if ([command[0] isEqualToString:@"remove-fd"])
                       [strong_instance execute:command[0]
                                      arguments:command[1]
                                     completion:^(id answer, NSError *second) {
                                         (void)answer;
                                         (void)second; // the first refusal says what is wrong
                                     }];
               finish(strong_instance, refusal, completion);
           }];
}

static void migrate(QEMUInstance *instance, NSArray<NSArray *> *commands, HostDescriptor *_Nullable file, BOOL sends,
                    Completion completion) {
    __block BOOL isOver = NO;
    __weak QEMUInstance *weak_instance = instance;
    instance.migrationHandler = ^(NSString *status) {
        QEMUInstance *strong_instance = weak_instance;
        // It is over once, however often QEMU says so.
        if (strong_instance == nil || isOver)
            return;
        void (^over)(QEMUInstance *) = nil;
        if ([status isEqualToString:@"completed"])
            over = ^(QEMUInstance *ready) {
                finish(ready, nil, completion);
            };
        else if ([status isEqualToString:@"failed"] || [status isEqualToString:@"cancelled"])
            over = ^(QEMUInstance *ready) {
                finish_failed(ready, completion);
            };
        if (over == nil)
            return;
        isOver = YES;
        // One that receives tells of the end last.
        if (!sends)
            over(strong_instance);
        else
            settle(strong_instance, FIRST_LOOK_MICROSECONDS, ^{
                QEMUInstance *ready = weak_instance;
                if (ready != nil)
                    over(ready);
            });
    };
    execute(instance, commands, file, completion);
}

NSDictionary *QEMUMigrationCapabilities(BOOL ignoresSharedMemory) {
    return @{
        @"capabilities" : @[
            @{@"capability" : @"x-ignore-shared", @"state" : [NSNumber numberWithBool:ignoresSharedMemory]},
            @{@"capability" : @"events",
              @"state" : @YES},
        ]
    };
}

// QEMU reads its commands byte by byte, each through several threads' hands: what need not be said is not.

void QEMUMigrationSend(QEMUInstance *instance, HostDescriptor *file, BOOL withMemory, Completion completion) {
    NSMutableArray *commands = [NSMutableArray array];
    // What was restored has been told.
    if (instance.commandLine.isFresh || instance.commandLine.ignoresSharedMemory == withMemory)
        [commands addObject:@[ @"migrate-set-capabilities", QEMUMigrationCapabilities(!withMemory) ]];
    // By default a sender keeps to what a network carries.
    if (withMemory)
        [commands addObject:@[ @"migrate-set-parameters", @{@"max-bandwidth" : @(1LL << 40)} ]];
    if (takes_files(instance)) {
        // QEMU opens the descriptor as it would open a file that it writes: it has to be one for writing alone.
        NSError *cause = nil;
        HostDescriptor *written = [file reopenedWithFlags:O_WRONLY error:&cause];
        if (written == nil) {
            completion(VZErrorWithReason(VZErrorInternal, @"QEMU could not move the machine's state.",
                                         [NSString stringWithFormat:@"The file for it cannot be opened: %@.",
                                                                    VZSystemCallErrorText((int)cause.code)],
                                         nil, cause));
            return;
        }
        NSDictionary *set = @{@"fdset-id" : @(STREAM_SET)};
        [commands addObject:@[ @"add-fd", set ]];
        [commands addObject:@[ @"migrate", @{@"uri" : [NSString stringWithFormat:@"file:/dev/fdset/%d", STREAM_SET]} ]];
        [commands addObject:@[ @"remove-fd", set ]];
        migrate(instance, commands, written, YES, completion);
        return;
    }
    [commands addObject:@[ @"getfd", @{@"fdname" : DescriptorName} ]];
    [commands addObject:@[ @"migrate", @{@"uri" : [@"fd:" stringByAppendingString:DescriptorName]} ]];
    migrate(instance, commands, file, YES, completion);
}

void QEMUMigrationReceive(QEMUInstance *instance, Completion completion) {
    unsigned long descriptor = instance.commandLine.incomingDescriptor;
    unsigned long long position = instance.commandLine.incomingPosition;
    HostDescriptor *file = instance.commandLine.incomingFile;
    [instance.commandLine forgetIncomingFile];
    if (!takes_files(instance)) {
        NSString *uri = [NSString stringWithFormat:@"fd:%lu", descriptor];
        migrate(instance, @[ @[ @"migrate-incoming", @{@"uri" : uri} ] ], nil, NO, completion);
        return;
    }
    NSString *path = file != nil ? [NSString stringWithFormat:@"/dev/fdset/%d", STREAM_SET]
                                 : [NSString stringWithFormat:@"/proc/self/fd/%lu", descriptor];
    NSString *uri = [NSString stringWithFormat:@"file:%@,offset=%llu", path, position];
    NSArray *receiving = @[ @"migrate-incoming", @{@"uri" : uri} ];
    NSDictionary *set = @{@"fdset-id" : @(STREAM_SET)};
    migrate(instance, file != nil ? @[ @[ @"add-fd", set ], receiving, @[ @"remove-fd", set ] ] : @[ receiving ], file,
            NO, completion);
}
