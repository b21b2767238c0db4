// SPDX-License-Identifier: Apache-2.0
#import "QEMUFeatures.h"
#import "support/VZErrors+Private.h"
#import "host/HostProcess.h"
#import "QEMUProgram.h"
#import "QEMUVersion.h"
#import "QMPConnection.h"
#import <json_values.h>
#import <shown_text.h>

static NSError *error_with_advice(NSString *reason, NSString *advice, NSError *_Nullable underlying) {
    return VZErrorWithReason(VZErrorNotSupported, @"QEMU does not say what it has.", reason, advice, underlying);
}

static NSError *silent_error(NSString *reason, NSError *_Nullable underlying) {
    return error_with_advice(
        reason, @"Install QEMU again, or name another one in the environment variable APPLEVZ_QEMU.", underlying);
}

/// The texts under a key of an answer, which is a list of objects.
static NSSet<NSString *> *names_of(id answer, NSString *key) {
    NSMutableSet<NSString *> *names = [NSMutableSet set];
    if ([answer isKindOfClass:[NSArray class]])
        for (id entry in answer) {
            NSString *name = applevz_json_text(entry, key);
            if (name != nil)
                [names addObject:name];
        }
    return names;
}

@implementation QEMUFeatures {
    NSSet<NSString *> *_types;
    NSSet<NSString *> *_migrationCapabilities;
}

+ (instancetype)featuresWithError:(NSError **)error {
    static NSString *last_program;
    static QEMUFeatures *last_features;
    NSString *path = [QEMUProgram pathWithError:error];
    if (path == nil)
        return nil;
    NSString *program = [QEMUProgram identityOfPath:path];
    @synchronized(self) {
        if ([program isEqualToString:last_program])
            return last_features;
        QEMUFeatures *features = [[self alloc] initWithPath:path error:error];
        // One that did not answer is asked again.
        if (features != nil) {
            last_program = program;
            last_features = features;
        }
        return features;
    }
}

- (instancetype)initWithPath:(NSString *)path error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    NSError *failure = [self ask:path];
    if (failure == nil)
        return self;
    VZRefuse(error, failure);
    return nil;
}

/// Starts the program, which gets the other end of the control connection for itself alone: it ends with it.
- (HostProcess *)start:(NSString *)path control:(HostDescriptor *__strong *)ours error:(NSError *__strong *)error {
    @autoreleasepool {
        NSError *cause = nil;
        NSArray<HostDescriptor *> *control = [HostDescriptor socketPairWithError:&cause];
        host_process_failure failure;
        HostProcess *process = nil;
        if (control != nil)
            process = [[HostProcess alloc]
                     initWithPath:path
                        arguments:@[
                            @"-nodefaults", @"-no-user-config", @"-display", @"none", @"-S", @"-machine", @"none",
                            @"-chardev", [NSString stringWithFormat:@"socket,id=qmp,fd=%d", QEMUControlDescriptor],
                            @"-mon", @"chardev=qmp,mode=control"
                        ]
                      descriptors:@[ control[1] ]
                          prepare:NULL
                          context:NULL
                mayGainPrivileges:NO
                      confinement:NULL
                     controlGroup:nil
                          failure:&failure];
        if (process != nil)
            *ours = control[0];
        else if (control == nil)
            *error = silent_error([NSString stringWithFormat:@"No file descriptors for QEMU: %@.",
                                                             VZSystemCallErrorText((int)cause.code)],
                                  cause);
        else
            *error = silent_error([NSString stringWithFormat:@"%@ could not be run: %@ (%s).", path,
                                                             VZSystemCallErrorText(failure.number), failure.step],
                                  VZSystemCallError(failure.number, path));
        return process;
    }
}

/// Why there are no answers.
- (NSError *)ask:(NSString *)path {
    HostDescriptor *control = nil;
    NSError *error = nil;
    HostProcess *process = [self start:path control:&control error:&error];
    if (process == nil)
        return error;
    dispatch_queue_t queue = dispatch_queue_create("applevz.features", DISPATCH_QUEUE_SERIAL);
    __block NSString *words = nil;
    __weak HostProcess *weak_process = process;
    // Its words are read as they come: one that says more than a pipe holds would wait, and not answer.
    dispatch_sync(queue, ^{
        [process watchOnQueue:queue
                   endHandler:^{
                       [weak_process reap];
                   }];
    });
    NSTimeInterval seconds = QEMUQuestionSeconds();
    dispatch_time_t latest = dispatch_time(DISPATCH_TIME_NOW, (int64_t)(seconds * NSEC_PER_SEC));
    error = [self askOver:control onQueue:queue seconds:seconds];
    BOOL isLate = error != nil && dispatch_time(DISPATCH_TIME_NOW, 0) >= latest;
    dispatch_sync(queue, ^{
        [process endNow];
        words = process.lastWords;
    });
    if (error == nil)
        return nil;
    if (words.length > 0)
        error = silent_error([NSString stringWithFormat:@"%@ Its last words: %@", error.localizedFailureReason,
                                                        applevz_shown_words(words)],
                             error);
    if (isLate)
        return error_with_advice(error.localizedFailureReason, QEMULateAdvice, error);
    // One that is too old for these questions says so best by its version.
    return QEMUVersionErrorOfProgram(path) ?: error;
}

- (NSError *)askOver:(HostDescriptor *)socket onQueue:(dispatch_queue_t)queue seconds:(NSTimeInterval)seconds {
    dispatch_semaphore_t answered = dispatch_semaphore_create(0);
    QMPConnection *connection = [[QMPConnection alloc] initWithSocket:socket queue:queue name:@"QEMU 0"];
    __block NSDictionary *greeting = nil;
    __block NSError *refusal = nil;
    NSMutableArray *answers = [NSMutableArray array];
    NSArray<NSString *> *questions = @[ @"qmp_capabilities", @"qom-list-types", @"query-migrate-capabilities" ];
    dispatch_sync(queue, ^{
        connection.greetingHandler = ^(NSDictionary *words) {
            greeting = words;
        };
        [connection open];
        for (NSString *question in questions)
            [connection execute:question
                      arguments:nil
                     descriptor:nil
                        seconds:seconds
                     completion:^(id result, NSError *error) {
                         [answers addObject:result ?: [NSNull null]];
                         refusal = refusal ?: error;
                         if (answers.count == questions.count)
                             dispatch_semaphore_signal(answered);
                     }];
    });
    // Each is answered, in time or by the connection's end.
    dispatch_semaphore_wait(answered, DISPATCH_TIME_FOREVER);
    dispatch_sync(queue, ^{
        [connection closeWithError:silent_error(@"Everything was asked.", nil)];
    });
    if (refusal != nil)
        return silent_error(refusal.localizedFailureReason, refusal);
    NSError *error = greeting != nil ? QEMUVersionErrorOfGreeting(greeting) : silent_error(@"It did not greet.", nil);
    if (error != nil)
        return error;
    _version = QEMUVersionOfGreeting(greeting);
    _types = names_of(answers[1], @"name");
    _migrationCapabilities = names_of(answers[2], @"capability");
    return _types.count > 0 ? nil : silent_error(@"It answers qom-list-types with no names.", nil);
}

static NSString *first_missing(NSArray<NSString *> *wanted, NSSet<NSString *> *there) {
    for (NSString *name in wanted)
        if (![there containsObject:name])
            return name;
    return nil;
}

- (NSString *)missingType:(NSArray<NSString *> *)types {
    return first_missing(types, _types);
}

- (NSString *)missingMigrationCapability:(NSArray<NSString *> *)names {
    return first_missing(names, _migrationCapabilities);
}

@end
