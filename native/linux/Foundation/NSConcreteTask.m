// SPDX-License-Identifier: Apache-2.0
#import "host/HostSpawn.h"
#import <dispatch/dispatch.h>
#import "NSConcreteTask.h"
#import "NSFileErrors.h"
#import "NSSystemString.h"
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

@interface NSConcreteTask () <RunLoopEvents>
@end

@implementation NSConcreteTask {
    NSURL *_executableURL, *_currentDirectoryURL;
    NSArray *_taskArguments;
    NSDictionary *_taskEnvironment;
    id _input, _output, _error;
    void (^_handler)(NSTask *);
    NSQualityOfService _qualityOfService;
    // With self as the lock:
    pid_t _process; // 0 before it is launched
    int _pidfd;     // -1 before and afterwards
    BOOL _ended;
    host_exit _end;
    NSThread *_launcher;
    dispatch_group_t _running;
}

- (instancetype)init {
    self = [super init];
    if (self != nil) {
        _pidfd = -1;
        _qualityOfService = NSQualityOfServiceDefault;
        _running = dispatch_group_create();
    }
    return self;
}

- (void)requireLaunched:(BOOL)launched {
    BOOL was;
    @synchronized(self) {
        was = _process != 0;
    }
    if (was != launched)
        [NSException raise:NSInvalidArgumentException
                    format:launched ? @"task not launched" : @"task already launched"];
}

// What is to be launched.

- (NSURL *)executableURL {
    return _executableURL;
}

- (void)setExecutableURL:(NSURL *)url {
    [self requireLaunched:NO];
    _executableURL = [url copy];
}

- (NSString *)launchPath {
    return _executableURL.path;
}

- (void)setLaunchPath:(NSString *)path {
    self.executableURL = path != nil ? [NSURL fileURLWithPath:path] : nil;
}

- (NSURL *)currentDirectoryURL {
    return _currentDirectoryURL ?: [NSURL fileURLWithPath:NSFileManager.defaultManager.currentDirectoryPath];
}

- (void)setCurrentDirectoryURL:(NSURL *)url {
    [self requireLaunched:NO];
    _currentDirectoryURL = [url copy];
}

- (NSString *)currentDirectoryPath {
    return self.currentDirectoryURL.path;
}

- (void)setCurrentDirectoryPath:(NSString *)path {
    self.currentDirectoryURL = path != nil ? [NSURL fileURLWithPath:path isDirectory:YES] : nil;
}

- (NSArray *)arguments {
    return _taskArguments;
}

- (void)setArguments:(NSArray *)arguments {
    [self requireLaunched:NO];
    _taskArguments = [arguments copy];
}

- (NSDictionary *)environment {
    return _taskEnvironment;
}

- (void)setEnvironment:(NSDictionary *)environment {
    [self requireLaunched:NO];
    _taskEnvironment = [environment copy];
}

- (id)standardInput {
    return _input ?: NSFileHandle.fileHandleWithStandardInput;
}

- (void)setStandardInput:(id)input {
    [self requireLaunched:NO];
    _input = input;
}

- (id)standardOutput {
    return _output ?: NSFileHandle.fileHandleWithStandardOutput;
}

- (void)setStandardOutput:(id)output {
    [self requireLaunched:NO];
    _output = output;
}

- (id)standardError {
    return _error ?: NSFileHandle.fileHandleWithStandardError;
}

- (void)setStandardError:(id)error {
    [self requireLaunched:NO];
    _error = error;
}

- (void (^)(NSTask *))terminationHandler {
    @synchronized(self) {
        return _handler;
    }
}

- (void)setTerminationHandler:(void (^)(NSTask *))handler {
    @synchronized(self) {
        _handler = [handler copy];
    }
}

- (NSQualityOfService)qualityOfService {
    return _qualityOfService;
}

- (void)setQualityOfService:(NSQualityOfService)quality {
    _qualityOfService = quality;
}

// Launching.

/// The descriptor that the child gets as its standard one; of a pipe, the end that is the child's.
static int descriptor_of(id handle, BOOL read) {
    if ([handle isKindOfClass:[NSPipe class]])
        handle = read ? [handle fileHandleForReading] : [handle fileHandleForWriting];
    return [handle fileDescriptor];
}

/// The texts, which live as long as the innermost pool, with a NULL behind them. NULL where one is none for the system.
static char **c_strings(NSArray<NSString *> *texts) {
    __autoreleasing NSMutableData *array = [NSMutableData dataWithLength:(texts.count + 1) * sizeof(char *)];
    char **pointers = array.mutableBytes;
    for (NSUInteger i = 0; i < texts.count; i++) {
        pointers[i] = (char *)NSSystemString(texts[i]);
        if (pointers[i] == NULL)
            return NULL;
    }
    return pointers;
}

- (int)spawnPath:(NSString *)path process:(pid_t *)process {
    NSMutableArray<NSString *> *arguments = [NSMutableArray arrayWithObject:path];
    for (id argument in _taskArguments)
        [arguments addObject:[argument description]];
    char **variables = environ;
    if (_taskEnvironment != nil) {
        NSMutableArray<NSString *> *texts = [NSMutableArray array];
        for (NSString *name in _taskEnvironment)
            [texts addObject:[NSString stringWithFormat:@"%@=%@", name, _taskEnvironment[name]]];
        variables = c_strings(texts);
    }
    char **words = c_strings(arguments);
    const char *folder = NSSystemString(self.currentDirectoryPath);
    if (words == NULL || variables == NULL || folder == NULL)
        return EILSEQ;
    // Out of the way of 0, 1 and 2 first, so that none is overwritten before it was handed over.
    int handed[3];
    int number = 0;
    id standards[] = {self.standardInput, self.standardOutput, self.standardError};
    for (int i = 0; i < 3; i++) {
        handed[i] = number == 0 ? fcntl(descriptor_of(standards[i], i == 0), F_DUPFD_CLOEXEC, 3) : -1;
        if (handed[i] < 0 && number == 0)
            number = errno;
    }
    if (number == 0) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
        if (_currentDirectoryURL != nil)
            posix_spawn_file_actions_addchdir_np(&actions, folder);
        for (int i = 0; i < 3; i++)
            posix_spawn_file_actions_adddup2(&actions, handed[i], i);
        posix_spawn_file_actions_addclosefrom_np(&actions, 3);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        posix_spawnattr_setpgroup(&attributes, 0);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        number = posix_spawn(process, words[0], &actions, &attributes, words, variables);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    }
    for (int i = 0; i < 3; i++)
        if (handed[i] >= 0)
            close(handed[i]);
    return number;
}

- (BOOL)launchAndReturnError:(NSError **)error {
    [self requireLaunched:NO];
    // GNUstep's runtime holds its lock while a class initializes itself at its first message, and NSRunLoop asks for
    // the notification centre's lock then. Whoever posts that a process has ended holds that, and may be the first to
    // send a message to some other class. So NSRunLoop is there before the process is.
    (void)[NSRunLoop class];
    NSError *failure = nil;
    @autoreleasepool {
        NSString *path = _executableURL.path;
        NSString *named = path;
        if (path == nil)
            [NSException raise:NSInvalidArgumentException format:@"must provide a launch path"];
        pid_t process = 0;
        int number = 0;
        // posix_spawn does not say which of its steps failed.
        struct stat status;
        const char *folder = NSSystemString(self.currentDirectoryPath);
        if (_currentDirectoryURL != nil && (folder == NULL || stat(folder, &status) != 0 || !S_ISDIR(status.st_mode))) {
            named = _currentDirectoryURL.path;
            number = ENOENT;
        }
        if (number == 0)
            number = [self spawnPath:path process:&process];
        int pidfd = number == 0 ? (int)syscall(SYS_pidfd_open, process, 0) : -1;
        if (number == 0 && pidfd < 0) {
            // Nobody would hear of its end.
            number = errno;
            kill(process, SIGKILL);
        }
        if (number != 0) {
            failure = NSErrorOfFile(number, number != ENOENT, named);
        } else {
            @synchronized(self) {
                _process = process;
                _pidfd = pidfd;
                _launcher = NSThread.currentThread;
            }
            [self closeEnds];
            [self watch];
        }
    }
    // Behind the pool, which would take the error with it.
    if (failure != nil && error != NULL)
        *error = failure;
    return failure == nil;
}

/// The ends of pipes that are the child's now: their other ends would never see it close them.
- (void)closeEnds {
    if ([_input isKindOfClass:[NSPipe class]])
        [[_input fileHandleForReading] closeFile];
    for (id pipe in @[ _output ?: NSNull.null, _error ?: NSNull.null ])
        if ([pipe isKindOfClass:[NSPipe class]])
            [[pipe fileHandleForWriting] closeFile];
}

- (void)watch {
    dispatch_group_enter(_running);
    int pidfd = _pidfd;
    dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)pidfd, 0,
                                                      dispatch_queue_create("NSTask.termination", NULL));
    // The handler keeps the task until its process has ended.
    dispatch_source_set_event_handler(source, ^{
        dispatch_source_cancel(source);
        [self processEnded];
    });
    dispatch_source_set_cancel_handler(source, ^{
        close(pidfd);
    });
    dispatch_resume(source);
}

- (void)processEnded {
    void (^handler)(NSTask *);
    NSThread *launcher;
    @synchronized(self) {
        _end = host_reap(_pidfd);
        _pidfd = -1;
        _ended = YES;
        handler = _handler;
        _handler = nil;
        launcher = _launcher;
        _launcher = nil;
    }
    dispatch_group_leave(_running);
    if (handler)
        handler(self);
    else if (!launcher.isFinished)
        [self performSelector:@selector(notify) onThread:launcher withObject:nil waitUntilDone:NO];
}

- (void)notify {
    [NSNotificationCenter.defaultCenter postNotificationName:NSTaskDidTerminateNotification object:self];
}

- (void)launch {
    NSError *error = nil;
    if (![self launchAndReturnError:&error])
        [NSException raise:NSInvalidArgumentException
                    format:@"launch path not accessible: %@", error.localizedDescription];
}

// What was launched.

- (int)processIdentifier {
    @synchronized(self) {
        return _process;
    }
}

- (BOOL)isRunning {
    @synchronized(self) {
        return _process != 0 && !_ended;
    }
}

- (void)requireEnded {
    [self requireLaunched:YES];
    if (self.isRunning)
        [NSException raise:NSInvalidArgumentException format:@"task still running"];
}

- (int)terminationStatus {
    [self requireEnded];
    return _end.status;
}

- (NSTaskTerminationReason)terminationReason {
    [self requireEnded];
    return _end.signalled ? NSTaskTerminationReasonUncaughtSignal : NSTaskTerminationReasonExit;
}

- (BOOL)send:(int)signal {
    [self requireLaunched:YES];
    @synchronized(self) {
        return _pidfd >= 0 && syscall(SYS_pidfd_send_signal, _pidfd, signal, NULL, 0) == 0;
    }
}

- (void)interrupt {
    [self send:SIGINT];
}

- (void)terminate {
    [self send:SIGTERM];
}

- (BOOL)suspend {
    return [self send:SIGSTOP];
}

- (BOOL)resume {
    return [self send:SIGCONT];
}

- (void)waitUntilExit {
    [self requireLaunched:YES];
    // The run loop runs meanwhile, and looks up when the process has ended.
    NSRunLoop *loop = NSRunLoop.currentRunLoop;
    int watched = -1;
    @synchronized(self) {
        if (_pidfd >= 0)
            watched = fcntl(_pidfd, F_DUPFD_CLOEXEC, 3);
    }
    if (watched >= 0) {
        void *data = (void *)(intptr_t)watched;
        [loop addEvent:data type:ET_RDESC watcher:self forMode:NSDefaultRunLoopMode];
        while (poll(&(struct pollfd){.fd = watched, .events = POLLIN}, 1, 0) == 0)
            @autoreleasepool {
                [loop runMode:NSDefaultRunLoopMode beforeDate:NSDate.distantFuture];
            }
        [loop removeEvent:data type:ET_RDESC forMode:NSDefaultRunLoopMode all:YES];
        close(watched);
    }
    dispatch_group_wait(_running, DISPATCH_TIME_FOREVER);
}

- (void)receivedEvent:(void *)data type:(RunLoopEventType)type extra:(void *)extra forMode:(NSString *)mode {
    (void)data, (void)type, (void)extra, (void)mode;
}

@end
