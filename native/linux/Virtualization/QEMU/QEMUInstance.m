// SPDX-License-Identifier: Apache-2.0
#import "QEMUInstance.h"
#import "../VZErrors+Private.h"
#import "QEMUFileServer.h"
#import "QEMUProgram.h"
#import "QEMUVersion.h"
#import <dispatch/poller.h>
#import <errno.h>
#import <fcntl.h>
#import <stdlib.h>
#import <unistd.h>

enum {
    END_NOW_MILLISECONDS = 1000,
    // From the end of the connection to that of the process, which for a QEMU that ends by itself are a few milliseconds apart.
    GRACE_SECONDS = 5,
    LAST_WORDS_LENGTH = 4096,
    // From the end of a server's connection to its own.
    SERVER_END_MILLISECONDS = 200,
};

extern char **environ;

/// How long an answer may take before QEMU is given up. Long: a pause waits for the host's disks.
static NSTimeInterval answer_seconds(void) {
    const char *text = getenv("APPLEVZ_QEMU_TIMEOUT");
    double seconds = text != NULL ? atof(text) : 0;
    return seconds > 0 ? seconds : 60;
}

static NSError *start_error(NSString *reason, NSError *underlying) {
    return VZErrorWithReason(VZErrorInternal, @"The virtual machine could not be started.", reason, nil, underlying);
}

@implementation QEMUInstance {
    NSString *_path;
    QMPConnection *_connection;
    QEMUDescriptor *_process; // a pidfd
    QEMUDescriptor *_standardError;
    dispatch_source_t _processSource;
    dispatch_source_t _standardErrorSource;
    NSMutableData *_lastWords;
    NSError *_failure;   // why the process was or will be killed from here
    BOOL _greeted;
    BOOL _connectionEnded;
    BOOL _ended;
    void (^_launchCompletion)(NSError *);
}

- (instancetype)initWithCommandLine:(QEMUCommandLine *)commandLine queue:(dispatch_queue_t)queue {
    self = [super init];
    if (self != nil) {
        _commandLine = commandLine;
        _queue = queue;
        _lastWords = [NSMutableData data];
    }
    return self;
}

- (void)dealloc {
    [self endNow];
}

#pragma mark Launching

- (void)launchWithCompletion:(void (^)(NSError *))completion {
    NSError *error = nil;
    if (![self startFileServersWithError:&error] || ![self spawnWithError:&error]) {
        _ended = YES;
        [self endFileServers];
        completion(error);
        return;
    }
    _launchCompletion = completion;
    [self watchProcess];
    __weak QEMUInstance *weak_self = self;
    _connection.greetingHandler = ^(NSDictionary *greeting) {
        [weak_self takeGreeting:greeting];
    };
    _connection.eventHandler = ^(NSString *name, NSDictionary *data) {
        QEMUInstance *strong_self = weak_self;
        if ([name isEqualToString:@"MIGRATION"]) {
            if (strong_self.migrationHandler != nil)
                strong_self.migrationHandler([data[@"status"] description]);
        } else if (strong_self.eventHandler != nil) {
            strong_self.eventHandler(name, data);
        }
    };
    _connection.endHandler = ^(NSError *_Nullable failure) {
        [weak_self connectionEndedWithError:failure];
    };
    [_connection open];
    // QEMU greets and answers in order: this is answered after the greeting, and its deadline is the greeting's too.
    [_connection execute:@"qmp_capabilities"
               arguments:nil
              descriptor:nil
                 seconds:answer_seconds()
              completion:^(id result, NSError *refusal) {
                  (void)result;
                  QEMUInstance *strong_self = weak_self;
                  if (refusal != nil)
                      [strong_self launchFailed:refusal];
                  else if (strong_self != nil && !strong_self->_greeted)
                      [strong_self launchFailed:start_error(@"QEMU answered before it greeted.", nil)];
                  else
                      [strong_self prepare:0];
              }];
}

- (BOOL)startFileServersWithError:(NSError **)error {
    __weak QEMUInstance *weak_self = self;
    for (QEMUFileServer *server in _commandLine.fileServers) {
        // A guest would wait for its files for ever.
        server.endHandler = ^(NSError *failure) {
            [weak_self giveUpWithError:failure];
        };
        if (![server startOnQueue:_queue error:error])
            return NO;
    }
    return YES;
}

- (void)endFileServers {
    for (QEMUFileServer *server in _commandLine.fileServers)
        [server endNow];
}

/// Why QEMU ended that was not told to and does not say that all is well, if that is because a server did, which it sees first.
- (nullable NSError *)errorOfFileServers:(qemu_exit)exit {
    if (_failure != nil || !exit.known || exit.signalled || exit.status == 0)
        return nil;
    for (QEMUFileServer *server in _commandLine.fileServers) {
        NSError *error = [server endWithin:SERVER_END_MILLISECONDS];
        if (error != nil)
            return error;
    }
    return nil;
}

/// Starts the process. Descriptors that are handed over are kept by QEMU alone afterwards.
- (BOOL)spawnWithError:(NSError **)error {
    NSError *cause = nil;
    _path = [QEMUProgram pathWithError:error];
    if (_path == nil)
        return NO;
    NSArray<QEMUDescriptor *> *control = [QEMUDescriptor socketPairWithError:&cause];
    NSArray<QEMUDescriptor *> *words = control != nil ? [QEMUDescriptor pipeWithError:&cause] : nil;
    QEMUDescriptor *nowhere = words != nil ? [QEMUDescriptor openPath:@"/dev/null" flags:O_RDWR error:&cause] : nil;
    int poller = nowhere != nil ? dispatch_poller_start() : 0;
    if (poller != 0)
        cause = VZSystemCallError(poller, nil);
    if (cause != nil)
        return VZRefuse(error, start_error([NSString stringWithFormat:@"No file descriptors for QEMU: %@.",
                                                                      VZSystemCallErrorText((int)cause.code)], cause));

    // Kept to the end of this method: what is handed over below are numbers and pointers, which ARC does not see.
    __attribute__((objc_precise_lifetime)) NSMutableArray<QEMUDescriptor *> *inherited =
        [NSMutableArray arrayWithObjects:nowhere, words[1], words[1], control[1], nil];
    [inherited addObjectsFromArray:_commandLine.descriptors];
    size_t descriptor_count = inherited.count;
    int *descriptors = calloc(descriptor_count, sizeof *descriptors);
    __attribute__((objc_precise_lifetime)) NSArray<NSString *> *strings = [@[ _path ] arrayByAddingObjectsFromArray:_commandLine.arguments];
    char **arguments = calloc(strings.count + 1, sizeof *arguments);
    if (descriptors == NULL || arguments == NULL)
        abort();
    for (NSUInteger i = 0; i < descriptor_count; i++)
        descriptors[i] = inherited[i].number;
    for (NSUInteger i = 0; i < strings.count; i++)
        arguments[i] = (char *)strings[i].UTF8String;

    qemu_spawn_plan plan = {.path = arguments[0],
                            .arguments = arguments,
                            .environment = environ,
                            .descriptors = descriptors,
                            .descriptor_count = descriptor_count};
    const qemu_spawn_plan *plan_pointer = &plan;
    __block int pidfd = -1;
    __block int failure = 0;
    __block const char *step = "";
    // The process dies with the thread that starts it; a worker of the queue may retire.
    dispatch_poller_perform_sync(^{
        const char *failed_step = "";
        failure = qemu_spawn(plan_pointer, &pidfd, &failed_step);
        step = failed_step;
    });
    free(descriptors);
    free(arguments);
    [_commandLine forgetDescriptors];
    if (failure != 0)
        return VZRefuse(error, start_error([NSString stringWithFormat:@"%@ could not be run: %@ (%s).", _path,
                                                                      VZSystemCallErrorText(failure), step],
                                           VZSystemCallError(failure, _path)));
    _process = [[QEMUDescriptor alloc] initWithDescriptor:pidfd];
    _standardError = words[0];
    _connection = [[QMPConnection alloc] initWithSocket:control[0] queue:_queue];
    return YES;
}

- (void)takeGreeting:(NSDictionary *)greeting {
    _greeted = YES;
    NSError *error = QEMUVersionErrorOfGreeting(greeting);
    if (error != nil)
        [self launchFailed:error];
    else
        _version = QEMUVersionOfGreeting(greeting);
}

- (void)prepare:(NSUInteger)index {
    if (_launchCompletion == nil)
        return;
    if (index == _commandLine.preparations.count) {
        void (^completion)(NSError *) = _launchCompletion;
        _launchCompletion = nil;
        completion(nil);
        return;
    }
    QEMUPreparation *preparation = _commandLine.preparations[index];
    __weak QEMUInstance *weak_self = self;
    [self execute:preparation.command
         arguments:preparation.arguments
        completion:^(id result, NSError *refusal) {
            (void)result;
            if (refusal == nil) {
                [preparation.backend wasOpened];
                [weak_self prepare:index + 1];
            } else
                [weak_self launchFailed:start_error([NSString stringWithFormat:@"%@: %@", preparation.property,
                                                                               refusal.localizedFailureReason], refusal)];
        }];
}

/// The launch has failed for a reason that is known here, or, where the connection has ended, for one that the end of the
/// process tells better.
- (void)launchFailed:(NSError *)error {
    if (_launchCompletion != nil && self.isAnswering)
        [self giveUpWithError:error];
}

#pragma mark Running

- (NSTimeInterval)answerSeconds {
    return answer_seconds();
}

- (BOOL)isAnswering {
    return !_ended && _failure == nil && _connection != nil && !_connectionEnded;
}

- (void)execute:(NSString *)command arguments:(NSDictionary *)arguments completion:(QMPCompletion)completion {
    [self execute:command arguments:arguments descriptor:nil completion:completion];
}

- (void)execute:(NSString *)command
      arguments:(NSDictionary *)arguments
     descriptor:(QEMUDescriptor *)descriptor
     completion:(QMPCompletion)completion {
    [_connection execute:command
               arguments:arguments
              descriptor:descriptor
                 seconds:answer_seconds()
              completion:completion];
}

#pragma mark Ending

- (void)watchProcess {
    __weak QEMUInstance *weak_self = self;
    QEMUDescriptor *process = _process;
    QEMUDescriptor *words = _standardError;
    _processSource =
        dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)process.number, 0, _queue);
    dispatch_source_set_event_handler(_processSource, ^{
        [weak_self processEnded];
    });
    // Until its cancellation is through a source uses the descriptor, which must not be closed before.
    dispatch_source_set_cancel_handler(_processSource, ^{
        (void)process;
    });
    _standardErrorSource =
        dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)words.number, 0, _queue);
    dispatch_source_set_event_handler(_standardErrorSource, ^{
        [weak_self readLastWords];
    });
    dispatch_source_set_cancel_handler(_standardErrorSource, ^{
        (void)words;
    });
    dispatch_resume(_processSource);
    dispatch_resume(_standardErrorSource);
}

- (void)stopWatching {
    if (_processSource != nil)
        dispatch_source_cancel(_processSource);
    if (_standardErrorSource != nil)
        dispatch_source_cancel(_standardErrorSource);
    _processSource = _standardErrorSource = nil;
}

- (void)readLastWords {
    char bytes[1024];
    ssize_t count;
    while ((count = read(_standardError.number, bytes, sizeof bytes)) > 0 || (count < 0 && errno == EINTR)) {
        if (count < 0)
            continue;
        [_lastWords appendBytes:bytes length:(NSUInteger)count];
        if (_lastWords.length > LAST_WORDS_LENGTH)
            [_lastWords replaceBytesInRange:NSMakeRange(0, _lastWords.length - LAST_WORDS_LENGTH) withBytes:NULL length:0];
    }
    // At its end a pipe is readable for ever.
    if (count == 0 && _standardErrorSource != nil) {
        dispatch_source_cancel(_standardErrorSource);
        _standardErrorSource = nil;
    }
}

- (void)connectionEndedWithError:(NSError *)error {
    _connectionEnded = YES;
    if (_ended)
        return;
    if (error != nil) {
        [self giveUpWithError:error];
        return;
    }
    // QEMU closes the connection as it ends. One that lives on cannot be controlled any more.
    __weak QEMUInstance *weak_self = self;
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, GRACE_SECONDS * (int64_t)NSEC_PER_SEC), _queue, ^{
        QEMUInstance *strong_self = weak_self;
        [strong_self giveUpWithError:VZErrorWithReason(VZErrorInternal, @"QEMU could not be controlled.",
                                                       @"It closed its control connection and ran on.", nil, nil)];
    });
}

- (void)processEnded {
    if (_ended)
        return;
    // What it said before it ended, as that the guest had turned itself off, is still in the socket.
    [_connection drain];
    [self readLastWords];
    _ended = YES;
    qemu_exit exit = qemu_reap(_process.number);
    _failure = [self errorOfFileServers:exit] ?: _failure;
    [self endFileServers];
    [self stopWatching];
    NSString *words = [[NSString alloc] initWithData:_lastWords encoding:NSUTF8StringEncoding]
                          ?: [[NSString alloc] initWithData:_lastWords encoding:NSISOLatin1StringEncoding];
    QEMUEnd *end = [[QEMUEnd alloc] initWithExit:exit failure:_failure lastWords:words];
    for (QEMUNetworkDisk *disk in _commandLine.networkDisks)
        end.explanation = end.explanation ?: [disk startErrorOfLastWords:words];
    void (^launchCompletion)(NSError *) = _launchCompletion;
    void (^endHandler)(QEMUEnd *) = _endHandler;
    _launchCompletion = nil;
    _endHandler = nil;
    [_connection closeWithError:launchCompletion != nil ? [end startError] : [end stopError]];
    if (launchCompletion != nil)
        [self complete:launchCompletion withEnd:end];
    else if (endHandler != nil)
        endHandler(end);
}

- (void)complete:(void (^)(NSError *))launchCompletion withEnd:(QEMUEnd *)end {
    if (_greeted) {
        BOOL notSupported = [_failure.domain isEqualToString:VZErrorDomain] && _failure.code == VZErrorNotSupported;
        launchCompletion(notSupported ? _failure : [end startError]);
        return;
    }
    // An old QEMU ends because it does not know an option: that it is old says more than which option. Asking takes a
    // process of its own, for which the machine's queue does not wait.
    NSString *path = _path;
    dispatch_queue_t queue = _queue;
    dispatch_async(dispatch_get_global_queue(QOS_CLASS_DEFAULT, 0), ^{
        NSError *versionError = QEMUVersionErrorOfProgram(path);
        dispatch_async(queue, ^{
            launchCompletion(versionError ?: [end startError]);
        });
    });
}

- (void)kill {
    if (!_ended)
        qemu_kill(_process.number);
}

- (void)giveUpWithError:(NSError *)error {
    if (_failure == nil)
        _failure = error;
    [self kill];
}

- (void)endNow {
    _eventHandler = nil;
    _migrationHandler = nil;
    _endHandler = nil;
    _launchCompletion = nil;
    [self stopWatching];
    [_connection closeWithError:VZErrorWithReason(VZErrorOperationCancelled, @"The operation was cancelled.",
                                                  @"The virtual machine was released.", nil, nil)];
    if (_ended || _process == nil) {
        [self endFileServers];
        return;
    }
    _ended = YES;
    qemu_kill(_process.number);
    if (qemu_await_exit(_process.number, END_NOW_MILLISECONDS))
        qemu_reap(_process.number);
    else
        qemu_reap_later(_process);
    [self endFileServers];
}

@end
