// SPDX-License-Identifier: Apache-2.0
#import "QEMUMigration.h"
#import "../VZErrors+Private.h"

// How often a QEMU that says nothing is asked whether it still answers: one that does not is given up.
enum { WATCH_SECONDS = 2 };

// From one look at whether a migration that is over is over for QEMU's commands, too, to the next.
enum { FIRST_LOOK_MICROSECONDS = 500, SLOWEST_LOOK_MICROSECONDS = 50 * 1000 };

static NSString *const DescriptorName = @"state";

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

/// Calls `next` when QEMU takes commands for the machine again: its thread that sends tells of the end first, and lets go of
/// the machine then (migration/migration.c). `cont` in between is refused.
static void settle(QEMUInstance *instance, useconds_t pause, dispatch_block_t next) {
    __weak QEMUInstance *weak_instance = instance;
    [instance execute:@"query-status"
            arguments:nil
           completion:^(id result, NSError *refusal) {
               QEMUInstance *strong_instance = weak_instance;
               if (strong_instance == nil || (refusal != nil && !strong_instance.isAnswering))
                   return;
               NSDictionary *answer = [result isKindOfClass:[NSDictionary class]] ? result : nil;
               if (![answer[@"status"] isEqual:@"finish-migrate"]) {
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
           completion:^(NSDictionary *result, NSError *refusal) {
               QEMUInstance *strong_instance = weak_instance;
               // One that cannot read its state ends.
               if (strong_instance == nil || (refusal != nil && !strong_instance.isAnswering))
                   return;
               NSString *words = refusal.localizedFailureReason
                                     ?: [result[@"error-desc"] description] ?: @"QEMU gave no reason.";
               finish(strong_instance, VZErrorWithReason(VZErrorInternal, @"QEMU could not move the machine's state.", words, nil,
                                                  nil), completion);
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

/// One command after the other; then QEMU's events.
static void execute(QEMUInstance *instance, NSArray<NSArray *> *commands, QEMUDescriptor *file, Completion completion) {
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
           descriptor:[name isEqualToString:@"getfd"] ? file : nil
           completion:^(id result, NSError *refusal) {
               (void)result;
               QEMUInstance *strong_instance = weak_instance;
               if (strong_instance == nil || (refusal != nil && !strong_instance.isAnswering))
                   return;
               if (refusal == nil)
                   execute(strong_instance, rest, file, completion);
               else
                   finish(strong_instance, refusal, completion);
           }];
}

static void migrate(QEMUInstance *instance, NSArray<NSArray *> *commands, QEMUDescriptor *_Nullable file, Completion completion) {
    BOOL sends = file != nil;
    __weak QEMUInstance *weak_instance = instance;
    instance.migrationHandler = ^(NSString *status) {
        QEMUInstance *strong_instance = weak_instance;
        if (strong_instance == nil)
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
            @{@"capability" : @"events", @"state" : @YES},
        ]
    };
}

// QEMU reads its commands byte by byte, each through several threads' hands: what need not be said is not.

void QEMUMigrationSend(QEMUInstance *instance, QEMUDescriptor *file, BOOL withMemory, Completion completion) {
    NSMutableArray *commands = [NSMutableArray array];
    // What was restored has been told.
    if (instance.commandLine.isFresh || instance.commandLine.ignoresSharedMemory == withMemory)
        [commands addObject:@[ @"migrate-set-capabilities", QEMUMigrationCapabilities(!withMemory) ]];
    // By default a sender keeps to what a network carries.
    if (withMemory)
        [commands addObject:@[ @"migrate-set-parameters", @{@"max-bandwidth" : @(1LL << 40)} ]];
    [commands addObject:@[ @"getfd", @{@"fdname" : DescriptorName} ]];
    [commands addObject:@[ @"migrate", @{@"uri" : [@"fd:" stringByAppendingString:DescriptorName]} ]];
    migrate(instance, commands, file, completion);
}

void QEMUMigrationReceive(QEMUInstance *instance, Completion completion) {
    NSString *uri = [NSString stringWithFormat:@"fd:%lu", (unsigned long)instance.commandLine.incomingDescriptor];
    migrate(instance, @[ @[ @"migrate-incoming", @{@"uri" : uri} ] ], nil, completion);
}
