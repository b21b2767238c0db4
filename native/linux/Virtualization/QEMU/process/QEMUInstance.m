// SPDX-License-Identifier: Apache-2.0
#import "QEMUInstance.h"
#import "support/VZErrors+Private.h"
#import "support/VZLog+Private.h"
#import "QEMU/sharing/QEMUFileServer.h"
#import "QEMUForkServer.h"
#import "host/HostProcess.h"
#import "QEMU/program/QEMUProgram.h"
#import "QEMU/program/QEMUVersion.h"
#import "QEMUConfinement.h"
#import "host/confinement/HostControlGroup.h"
#import <json_values.h>
#import <stdatomic.h>
#import <stdlib.h>

enum {
    // From the end of the connection to that of the process, which for a QEMU that ends by itself are a few
    // milliseconds apart.
    GRACE_SECONDS = 5,
    // From the end of a QEMU whose server ended to the server's.
    SERVER_END_MILLISECONDS = 200,
    // From its end by SIGKILL to that it is gone.
    SERVER_KILL_MILLISECONDS = 1000,
};

/// Long: a pause waits for the host's disks.
static NSTimeInterval answer_seconds(void) {
    return QEMUAnswerSeconds(60);
}

static NSError *start_error(NSString *reason, NSError *underlying) {
    return VZErrorWithReason(VZErrorInternal, QEMUStartFailure, reason, nil, underlying);
}

/// What the lines of the log are of: the numbers of processes come again.
static NSString *new_name_for_log(void) {
    static atomic_ulong last;
    return [NSString stringWithFormat:@"QEMU %lu", atomic_fetch_add(&last, 1) + 1];
}

@implementation QEMUInstance {
    NSString *_path;
    QMPConnection *_connection;
    HostProcess *_process;
    HostControlGroup *_controlGroup;
    host_exit _exit;
    NSError *_failure; // why the process was or will be killed from here
    BOOL _greeted;
    BOOL _connectionEnded;
    BOOL _ended;
    BOOL _toldOfEnd;
    void (^_launchCompletion)(NSError *);
}

- (instancetype)initWithCommandLine:(QEMUCommandLine *)commandLine queue:(dispatch_queue_t)queue {
    self = [super init];
    if (self != nil) {
        _commandLine = commandLine;
        _queue = queue;
    }
    return self;
}

- (void)dealloc {
    [self endNow];
}

#pragma mark Launching

- (void)launchWithCompletion:(void (^)(NSError *))completion {
    NSError *error = nil;
    if (![self makeControlGroupWithError:&error] || ![self startFileServersWithError:&error] ||
        ![self spawnWithError:&error]) {
        _ended = YES;
        [self endFileServers];
        [_controlGroup remove];
        completion(error);
        return;
    }
    _launchCompletion = completion;
    __weak QEMUInstance *weak_self = self;
    [_process watchOnQueue:_queue
                endHandler:^{
                    [weak_self processEnded];
                }];
    _connection.greetingHandler = ^(NSDictionary *greeting) {
        [weak_self takeGreeting:greeting];
    };
    _connection.eventHandler = ^(NSString *name, NSDictionary *data) {
        QEMUInstance *strong_self = weak_self;
        if ([name isEqualToString:@"MIGRATION"]) {
            NSString *status = applevz_json_text(data, @"status");
            if (strong_self.migrationHandler != nil && status != nil)
                strong_self.migrationHandler(status);
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

/// For all processes of the machine.
- (BOOL)makeControlGroupWithError:(NSError **)error {
    if (!HostNeedsControlGroup(_commandLine.limits))
        return YES;
    _controlGroup = [[HostControlGroup alloc] initWithLimits:_commandLine.limits
                                                      folder:_commandLine.controlGroupPath
                                                       error:error];
    return _controlGroup != nil;
}

- (BOOL)startFileServersWithError:(NSError **)error {
    __weak QEMUInstance *weak_self = self;
    for (QEMUFileServer *server in _commandLine.fileServers) {
        server.endHandler = ^(NSError *failure, BOOL isWell) {
            [weak_self fileServerEnded:failure isWell:isWell];
        };
        if (![server startOnQueue:_queue controlGroup:_controlGroup.joined error:error])
            return NO;
    }
    return YES;
}

- (void)endFileServers {
    for (QEMUFileServer *server in _commandLine.fileServers)
        [server endNow];
}

/// Starts the process. Descriptors that are handed over are kept by QEMU alone afterwards.
- (BOOL)spawnWithError:(NSError **)error {
    NSError *cause = nil;
    _path = [QEMUProgram pathWithError:error];
    QEMUConfinement *confinement =
        _path != nil ? [[QEMUConfinement alloc] initWithProgram:_path commandLine:_commandLine error:error] : nil;
    if (confinement == nil)
        return NO;
    _confinement = confinement.confinement;
    NSArray<HostDescriptor *> *control = [HostDescriptor socketPairWithError:&cause];
    if (control == nil)
        return VZRefuse(error, start_error([NSString stringWithFormat:@"No file descriptors for QEMU: %@.",
                                                                      VZSystemCallErrorText((int)cause.code)],
                                           cause));
    NSString *name = new_name_for_log();
    NSArray<NSString *> *arguments =
        [[QEMUProgram argumentsForPath:_path] arrayByAddingObjectsFromArray:_commandLine.arguments];
    VZLogWords(name, @"command line", [@[ _path ] arrayByAddingObjectsFromArray:arguments]);
    host_process_failure failure;
    _process =
        [[HostProcess alloc] initWithPath:_path
                                arguments:arguments
                              environment:nil
                              descriptors:[@[ control[1] ] arrayByAddingObjectsFromArray:_commandLine.descriptors]
                                  prepare:NULL
                                  context:NULL
                        mayGainPrivileges:NO
                              confinement:confinement.native
                             controlGroup:_controlGroup.joined
                               forkServer:QEMUForkServer(_path)
                                  failure:&failure];
    [_commandLine forgetDescriptors];
    if (_process == nil)
        return VZRefuse(error,
                        start_error([NSString stringWithFormat:@"%@ could not be run: %@ (%s).", _path,
                                                               VZSystemCallErrorText(failure.number), failure.step],
                                    VZSystemCallError(failure.number, _path)));
    _supervisor = [confinement superviseProcess:_process.descriptor
                                         socket:[control[0] number]
                                    commandLine:_commandLine
                                          error:&cause];
    if (_supervisor == nil && cause != nil) {
        [_process endNow];
        return VZRefuse(error, start_error([NSString stringWithFormat:@"QEMU could not be supervised: %@.",
                                                                      VZSystemCallErrorText((int)cause.code)],
                                           cause));
    }
    _connection = [[QMPConnection alloc] initWithSocket:control[0] queue:_queue name:name];
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
                                                                               refusal.localizedFailureReason],
                                                    refusal)];
        }];
}

/// The launch has failed for a reason that is known here, or, where the connection has ended, for one that the end of
/// the process tells better.
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

- (BOOL)getUsage:(host_process_usage *)usage {
    return !_ended && _process != nil && host_process_usage_of(_process.descriptor, usage);
}

- (void)execute:(NSString *)command arguments:(NSDictionary *)arguments completion:(QMPCompletion)completion {
    [self execute:command arguments:arguments descriptor:nil completion:completion];
}

- (void)execute:(NSString *)command
      arguments:(NSDictionary *)arguments
     descriptor:(HostDescriptor *)descriptor
     completion:(QMPCompletion)completion {
    [_connection execute:command
               arguments:arguments
              descriptor:descriptor
                 seconds:answer_seconds()
              completion:completion];
}

#pragma mark Ending

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
    _ended = YES;
    [_supervisor end];
    _exit = [_process reap];
    if (_failure == nil && _exit.signalled)
        _failure = _controlGroup.endError;
    BOOL isWell = _failure != nil || !_exit.known || _exit.signalled || _exit.status == 0;
    if (isWell || _commandLine.fileServers.count == 0) {
        [self tellOfEnd];
        return;
    }
    // QEMU sees the end of a server first, and says less of it.
    __weak QEMUInstance *weak_self = self;
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, SERVER_END_MILLISECONDS * (int64_t)NSEC_PER_MSEC), _queue, ^{
        [weak_self tellOfEnd];
    });
}

- (void)fileServerEnded:(NSError *)failure isWell:(BOOL)isWell {
    if (_ended) {
        // One that ended well ended because QEMU did.
        if (!isWell)
            _failure = _failure ?: failure;
        [self tellOfEnd];
    } else if (isWell && _launchCompletion == nil) {
        // It ends so when QEMU lets go of it, which a QEMU does that ends: it answers nothing any more, and may take
        // seconds to give a large memory back. One that does answer runs on without its server.
        __weak QEMUInstance *weak_self = self;
        [self execute:@"query-status"
             arguments:nil
            completion:^(id result, NSError *refusal) {
                (void)result;
                (void)refusal; // is an answer, too
                QEMUInstance *answering = weak_self;
                if (answering.isAnswering)
                    [answering giveUpWithError:failure];
            }];
    } else {
        // A guest would wait for its files for ever.
        [self giveUpWithError:failure];
    }
}

/// All that ran for the machine is gone when its end is told; or has not obeyed for a second.
- (void)tellOfEnd {
    __weak QEMUInstance *weak_self = self;
    __block NSUInteger pending = 1 + _commandLine.fileServers.count;
    dispatch_block_t ended = ^{
        if (--pending == 0)
            [weak_self tellOfEndNow];
    };
    for (QEMUFileServer *server in _commandLine.fileServers)
        [server endWithCompletion:ended];
    ended();
    if (_toldOfEnd)
        return;
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, SERVER_KILL_MILLISECONDS * (int64_t)NSEC_PER_MSEC), _queue, ^{
        [weak_self tellOfEndNow];
    });
}

- (void)tellOfEndNow {
    if (_toldOfEnd)
        return;
    _toldOfEnd = YES;
    [_controlGroup remove];
    NSString *words = _process.lastWords;
    QEMUEnd *end = [[QEMUEnd alloc] initWithExit:_exit failure:_failure lastWords:words];
    for (QEMUStartedDisk *disk in _commandLine.disks)
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
    [_process kill];
}

- (void)giveUpWithError:(NSError *)error {
    // How it ended is known then.
    if (_ended)
        return;
    if (_failure == nil)
        _failure = error;
    [self kill];
}

- (void)endWithCompletion:(dispatch_block_t)completion {
    _eventHandler = nil;
    _migrationHandler = nil;
    _launchCompletion = nil;
    _endHandler = nil;
    if (_toldOfEnd || _process == nil) {
        completion();
        return;
    }
    _endHandler = ^(QEMUEnd *end) {
        (void)end;
        completion();
    };
    [self kill];
}

- (void)endNow {
    _eventHandler = nil;
    _migrationHandler = nil;
    _endHandler = nil;
    _launchCompletion = nil;
    [_connection closeWithError:VZErrorWithReason(VZErrorOperationCancelled, nil, @"The virtual machine was released.",
                                                  nil, nil)];
    _ended = _toldOfEnd = YES;
    [_process endNow];
    [_supervisor end];
    [self endFileServers];
    [_controlGroup remove];
}

@end
