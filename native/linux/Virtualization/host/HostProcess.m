// SPDX-License-Identifier: Apache-2.0
#import "HostProcess.h"
#import "HostEnvironment.h"
#import "HostForkServer.h"
#import "support/VZFilePath+Private.h"
#import <dispatch/poller.h>
#import <errno.h>
#import <fcntl.h>
#import <stdlib.h>
#import <unistd.h>

enum {
    END_NOW_MILLISECONDS = 1000,
    LAST_WORDS_LENGTH = 4096,
    // At a time: all that a pipe holds, and no more of a process that never stops.
    READS = 64,
};

/// Reaps a process that takes long to die, as one with much memory to give back does, when it has.
static void reap_later(HostDescriptor *process) {
    dispatch_queue_t queue = dispatch_get_global_queue(QOS_CLASS_DEFAULT, 0);
    dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)process.number, 0, queue);
    // The handler keeps the source and the descriptor, until the cancellation lets go of the handler.
    dispatch_source_set_event_handler(source, ^{
        host_reap(process.number);
        dispatch_source_cancel(source);
    });
    dispatch_resume(source);
}

/// Puts them behind what is in the list, which has room for them.
static void add_variables(char **list, NSArray<NSString *> *variables) {
    while (*list != NULL)
        list++;
    for (NSString *variable in variables)
        *list++ = (char *)VZBytesOfPath(variable);
}

@implementation HostProcess {
    HostDescriptor *_process; // a pidfd
    HostDescriptor *_output;
    dispatch_source_t _processSource;
    dispatch_source_t _outputSource;
    NSMutableData *_words;
    BOOL _reaped;
}

- (instancetype)initWithPath:(NSString *)path
                   arguments:(NSArray<NSString *> *)arguments
                 descriptors:(NSArray<HostDescriptor *> *)descriptors
                     prepare:(host_child_function)prepare
                     context:(void *)context
           mayGainPrivileges:(BOOL)mayGainPrivileges
                 confinement:(const struct host_confinement *)confinement
                controlGroup:(HostDescriptor *)controlGroup
                     failure:(host_process_failure *)failure {
    return [self initWithPath:path
                    arguments:arguments
                  environment:nil
                  descriptors:descriptors
                      prepare:prepare
                      context:context
            mayGainPrivileges:mayGainPrivileges
                  confinement:confinement
                 controlGroup:controlGroup
                   forkServer:nil
                      failure:failure];
}

- (instancetype)initWithPath:(NSString *)path
                   arguments:(NSArray<NSString *> *)arguments
                 environment:(NSArray<NSString *> *)variables
                 descriptors:(NSArray<HostDescriptor *> *)descriptors
                     prepare:(host_child_function)prepare
                     context:(void *)context
           mayGainPrivileges:(BOOL)mayGainPrivileges
                 confinement:(const struct host_confinement *)confinement
                controlGroup:(HostDescriptor *)controlGroup
                  forkServer:(HostForkServer *)forkServer
                     failure:(host_process_failure *)failure {
    self = [super init];
    if (self == nil)
        return nil;
    _words = [NSMutableData data];
    NSError *cause = nil;
    // Kept to the end of this method: what is handed over below are numbers and pointers, which ARC does not see.
    __attribute__((objc_precise_lifetime)) NSArray<HostDescriptor *> *output = [HostDescriptor pipeWithError:&cause];
    __attribute__((objc_precise_lifetime)) HostDescriptor *nowhere =
        output != nil ? [HostDescriptor openPath:@"/dev/null" flags:O_RDWR error:&cause] : nil;
    int poller = nowhere != nil ? dispatch_poller_start() : 0;
    if (nowhere == nil || poller != 0) {
        *failure = (host_process_failure){poller != 0 ? poller : (int)cause.code, "opening file descriptors"};
        return nil;
    }
    _output = output[0];
    __attribute__((objc_precise_lifetime)) NSArray<HostDescriptor *> *inherited =
        [@[ nowhere, output[1], output[1] ] arrayByAddingObjectsFromArray:descriptors];
    __attribute__((objc_precise_lifetime)) NSArray<NSString *> *strings =
        [@[ path ] arrayByAddingObjectsFromArray:arguments];
    int *numbers = calloc(inherited.count, sizeof *numbers);
    char **texts = calloc(strings.count + 1, sizeof *texts);
    // Resolved here: a path through /proc/self leads elsewhere in the process that is made.
    char *resolved = realpath(VZBytesOfPath(path), NULL);
    char **environment = host_environment_of_child(resolved != NULL ? resolved : VZBytesOfPath(path), variables.count);
    if (numbers == NULL || texts == NULL || environment == NULL)
        abort();
    add_variables(environment, variables);
    for (NSUInteger i = 0; i < inherited.count; i++)
        numbers[i] = inherited[i].number;
    for (NSUInteger i = 0; i < strings.count; i++)
        texts[i] = (char *)VZBytesOfPath(strings[i]);
    host_spawn_plan plan = {.path = resolved != NULL ? resolved : texts[0],
                            .arguments = texts,
                            .environment = environment,
                            .descriptors = numbers,
                            .descriptor_count = inherited.count,
                            .may_gain_privileges = mayGainPrivileges,
                            .confinement = confinement,
                            .control_group = controlGroup != nil ? controlGroup.number : 0,
                            .prepare = prepare,
                            .context = context};
    const host_spawn_plan *plan_pointer = &plan;
    __block int pidfd = -1;
    __block host_process_failure failed = {0};
    // The process dies with the thread that starts it; a worker of a queue may retire.
    dispatch_poller_perform_sync(^{
        pidfd = forkServer != nil ? [forkServer spawn:plan_pointer] : -1;
        if (pidfd < 0)
            failed.number = host_spawn(plan_pointer, &pidfd, &failed.step);
    });
    free(numbers);
    free(texts);
    free(environment);
    free(resolved);
    if (failed.number != 0) {
        *failure = failed;
        return nil;
    }
    _process = [[HostDescriptor alloc] initWithDescriptor:pidfd];
    return self;
}

- (void)dealloc {
    [self endNow];
}

- (int)descriptor {
    return _process.number;
}

- (void)watchOnQueue:(dispatch_queue_t)queue endHandler:(dispatch_block_t)handler {
    __weak HostProcess *weak_self = self;
    HostDescriptor *process = _process;
    HostDescriptor *output = _output;
    _processSource = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)process.number, 0, queue);
    dispatch_source_set_event_handler(_processSource, handler);
    // Until its cancellation is through a source uses the descriptor, which must not be closed before.
    dispatch_source_set_cancel_handler(_processSource, ^{
        (void)process;
    });
    _outputSource = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)output.number, 0, queue);
    dispatch_source_set_event_handler(_outputSource, ^{
        [weak_self readWords];
    });
    dispatch_source_set_cancel_handler(_outputSource, ^{
        (void)output;
    });
    dispatch_resume(_processSource);
    dispatch_resume(_outputSource);
}

- (void)stopWatching {
    if (_processSource != nil)
        dispatch_source_cancel(_processSource);
    if (_outputSource != nil)
        dispatch_source_cancel(_outputSource);
    _processSource = _outputSource = nil;
}

- (void)readWords {
    char bytes[1024];
    ssize_t count = -1;
    for (int i = 0; i < READS; i++) {
        do
            count = read(_output.number, bytes, sizeof bytes);
        while (count < 0 && errno == EINTR);
        if (count <= 0)
            break;
        [_words appendBytes:bytes length:(NSUInteger)count];
        if (_words.length > LAST_WORDS_LENGTH)
            [_words replaceBytesInRange:NSMakeRange(0, _words.length - LAST_WORDS_LENGTH) withBytes:NULL length:0];
    }
    // At its end a pipe is readable for ever.
    if (count == 0 && _outputSource != nil) {
        dispatch_source_cancel(_outputSource);
        _outputSource = nil;
    }
}

- (NSString *)lastWords {
    [self readWords];
    // What was cut off may have been cut within a character.
    const unsigned char *bytes = _words.bytes;
    NSUInteger start = 0;
    while (_words.length == LAST_WORDS_LENGTH && start < 3 && (bytes[start] & 0xc0) == 0x80)
        start++;
    [_words replaceBytesInRange:NSMakeRange(0, start) withBytes:NULL length:0];
    NSString *words = [[NSString alloc] initWithData:_words encoding:NSUTF8StringEncoding]
                          ?: [[NSString alloc] initWithData:_words encoding:NSISOLatin1StringEncoding];
    return [words stringByTrimmingCharactersInSet:NSCharacterSet.whitespaceAndNewlineCharacterSet];
}

- (BOOL)hasEndedWithin:(int)milliseconds {
    return _reaped || host_await_exit(_process.number, milliseconds);
}

- (host_exit)reap {
    _reaped = YES;
    [self stopWatching];
    return host_reap(_process.number);
}

- (void)kill {
    if (!_reaped)
        host_kill(_process.number);
}

- (void)endNow {
    [self stopWatching];
    if (_reaped || _process == nil)
        return;
    _reaped = YES;
    host_kill(_process.number);
    if (host_await_exit(_process.number, dispatch_poller_is_current() ? 0 : END_NOW_MILLISECONDS))
        host_reap(_process.number);
    else
        reap_later(_process);
}

@end
