// SPDX-License-Identifier: Apache-2.0
#import "QEMUFileServer.h"
#import "../VZConfiguration+Private.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUFileServerProgram.h"
#import "QEMUSharedDirectories.h"
#import "QEMUSpawn.h"
#import <dispatch/poller.h>
#import <errno.h>
#import <fcntl.h>
#import <stdlib.h>
#import <string.h>

enum {
    SOCKET_DESCRIPTOR = 3, // after standard input, output and error
    END_NOW_MILLISECONDS = 1000,
    LAST_WORDS_LENGTH = 4096,
};

extern char **environ;

/// Its number, which is nobody else's before it is reaped; 0 where it was.
static pid_t number_of_process(int pidfd) {
    NSString *path = [NSString stringWithFormat:@"/proc/self/fdinfo/%d", pidfd];
    NSString *text = [NSString stringWithContentsOfFile:path encoding:NSUTF8StringEncoding error:NULL];
    NSRange place = [text rangeOfString:@"Pid:"];
    return text != nil && place.location != NSNotFound ? [text substringFromIndex:NSMaxRange(place)].intValue : 0;
}

@implementation QEMUFileServer {
    NSUInteger _index;
    NSString *_tag;
    VZDirectoryShare *_share;
    QEMUDescriptor *_listener; // until the process has it
    QEMUDescriptor *_process;  // a pidfd
    QEMUDescriptor *_standardError;
    dispatch_source_t _processSource;
    dispatch_source_t _standardErrorSource;
    NSMutableData *_lastWords;
    BOOL _hasUserNamespace;
    BOOL _ended;
}

- (instancetype)initWithIndex:(NSUInteger)index
                configuration:(VZVirtioFileSystemDeviceConfiguration *)configuration
                        error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _index = index;
    _tag = configuration.tag;
    _share = configuration.share;
    _lastWords = [NSMutableData data];
    NSError *cause = nil;
    NSArray<QEMUDescriptor *> *pair = [QEMUDescriptor listeningPairWithError:&cause];
    if (pair == nil) {
        VZRefuse(error, [self startErrorWithReason:VZSystemCallErrorText((int)cause.code) cause:cause]);
        return nil;
    }
    _listener = pair[0];
    _connection = pair[1];
    return self;
}

- (void)dealloc {
    [self endNow];
}

/// "directorySharingDevices[0] (tag "share")".
- (NSString *)title {
    return [NSString stringWithFormat:@"directorySharingDevices[%lu] (tag %@)", (unsigned long)_index, VZQuoted(_tag)];
}

- (NSError *)startErrorWithReason:(NSString *)reason cause:(NSError *)cause {
    return VZErrorWithReason(VZErrorInternal, @"The virtual machine could not be started.",
                             [NSString stringWithFormat:@"%@: %@.", [self title], reason], nil, cause);
}

/// What is wrong with the directory of that name, or, where it is not for one, with the whole.
- (NSError *)errorOfDirectory:(nullable NSString *)name in:(NSDictionary *)directories number:(int)number step:(const char *)step {
    NSString *path = name != nil ? [directories[name] path] : nil;
    if (path == nil)
        return [self startErrorWithReason:[NSString stringWithFormat:@"%@ (%s)", VZSystemCallErrorText(number), step]
                                    cause:VZSystemCallError(number, nil)];
    return VZErrorWithReason(
        VZErrorInternal, @"The directory could not be shared.",
        [NSString stringWithFormat:@"directorySharingDevices[%lu].share.%@.URL is %@, which cannot be shared: %@ (%s).",
                                   (unsigned long)_index, QEMUPropertyOfDirectory(name), VZQuoted(path),
                                   VZSystemCallErrorText(number), step],
        @"Name an existing directory that this user may read.", VZSystemCallError(number, path));
}

#pragma mark Starting

- (BOOL)startOnQueue:(dispatch_queue_t)queue error:(NSError **)error {
    NSError *wrong = nil;
    @autoreleasepool {
        wrong = [self start];
        if (wrong == nil)
            [self watchOnQueue:queue];
    }
    _listener = nil;
    return wrong == nil || VZRefuse(error, wrong);
}

- (nullable NSError *)start {
    NSError *error = nil;
    QEMUFileServerProgram *program = [QEMUFileServerProgram programWithError:&error];
    if (program == nil)
        return error;
    NSError *cause = nil;
    // Kept to the end of this method: what is handed over below are numbers and pointers, which ARC does not see.
    __attribute__((objc_precise_lifetime)) NSArray<QEMUDescriptor *> *words = [QEMUDescriptor pipeWithError:&cause];
    __attribute__((objc_precise_lifetime)) QEMUDescriptor *nowhere =
        words != nil ? [QEMUDescriptor openPath:@"/dev/null" flags:O_RDWR error:&cause] : nil;
    int poller = nowhere != nil ? dispatch_poller_start() : 0;
    if (poller != 0)
        cause = VZSystemCallError(poller, nil);
    if (cause != nil)
        return [self startErrorWithReason:VZSystemCallErrorText((int)cause.code) cause:cause];

    NSArray<NSString *> *strings =
        [@[ program.path ] arrayByAddingObjectsFromArray:[program argumentsForSocket:SOCKET_DESCRIPTOR]];
    char *arguments[strings.count + 1];
    for (NSUInteger i = 0; i < strings.count; i++)
        arguments[i] = (char *)strings[i].UTF8String; // of the pool
    arguments[strings.count] = NULL;
    NSDictionary<NSString *, VZSharedDirectory *> *directories = QEMUDirectoriesOfShare(_share);
    NSArray<NSString *> *names = nil;
    qemu_user_maps maps = QEMUMapsOfUser();
    qemu_share_mounts mounts = {.directories = QEMUNativeDirectories(directories, &names),
                                .directory_count = directories.count,
                                .user_map = maps.user,
                                .group_map = maps.group,
                                .failed = directories.count};
    const int descriptors[] = {nowhere.number, words[1].number, words[1].number, _listener.number};
    qemu_spawn_plan plan = {.path = arguments[0],
                            .arguments = arguments,
                            .environment = environ,
                            .descriptors = descriptors,
                            .descriptor_count = sizeof descriptors / sizeof *descriptors,
                            .prepare = qemu_make_share_mounts,
                            .context = &mounts};
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
    free(mounts.directories);
    _standardError = words[0];
    if (failure != 0) {
        if (mounts.failed < names.count)
            return [self errorOfDirectory:names[mounts.failed] in:directories number:failure step:step];
        return [self startErrorWithReason:[NSString stringWithFormat:@"%@ could not be run: %@ (%s)", program.path,
                                                                     VZSystemCallErrorText(failure), step]
                                    cause:VZSystemCallError(failure, program.path)];
    }
    _process = [[QEMUDescriptor alloc] initWithDescriptor:pidfd];
    _hasUserNamespace = mounts.has_user_namespace;
    return nil;
}

#pragma mark Ending

- (void)watchOnQueue:(dispatch_queue_t)queue {
    __weak QEMUFileServer *weak_self = self;
    QEMUDescriptor *process = _process;
    QEMUDescriptor *words = _standardError;
    _processSource = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)process.number, 0, queue);
    dispatch_source_set_event_handler(_processSource, ^{
        QEMUFileServer *strong_self = weak_self;
        void (^handler)(NSError *) = strong_self.endHandler;
        NSError *error = [strong_self endWithin:0];
        if (error != nil && handler != nil)
            handler(error);
    });
    // Until its cancellation is through a source uses the descriptor, which must not be closed before.
    dispatch_source_set_cancel_handler(_processSource, ^{
        (void)process;
    });
    _standardErrorSource = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)words.number, 0, queue);
    dispatch_source_set_event_handler(_standardErrorSource, ^{
        [weak_self readLastWords];
    });
    dispatch_source_set_cancel_handler(_standardErrorSource, ^{
        (void)words;
    });
    dispatch_resume(_processSource);
    dispatch_resume(_standardErrorSource);
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

- (void)stopWatching {
    self.endHandler = nil;
    if (_processSource != nil)
        dispatch_source_cancel(_processSource);
    if (_standardErrorSource != nil)
        dispatch_source_cancel(_standardErrorSource);
    _processSource = _standardErrorSource = nil;
}

- (NSError *)endWithin:(int)milliseconds {
    if (_ended || _process == nil || !qemu_await_exit(_process.number, milliseconds))
        return nil;
    _ended = YES;
    [self readLastWords];
    qemu_exit exit = qemu_reap(_process.number);
    [self stopWatching];
    NSString *how = !exit.known       ? @"ended"
                    : exit.signalled ? [NSString stringWithFormat:@"was killed by signal %d (%s)", exit.status,
                                                                  strsignal(exit.status)]
                                     : [NSString stringWithFormat:@"ended with exit status %d", exit.status];
    NSString *words = [[NSString alloc] initWithData:_lastWords encoding:NSUTF8StringEncoding]
                          ?: [[NSString alloc] initWithData:_lastWords encoding:NSISOLatin1StringEncoding];
    words = [words stringByTrimmingCharactersInSet:[NSCharacterSet whitespaceAndNewlineCharacterSet]];
    NSString *reason = [NSString stringWithFormat:@"%@: virtiofsd, which served it, %@%@.", [self title], how,
                                                  words.length > 0 ? [@" and said: " stringByAppendingString:words] : @""];
    return VZErrorWithReason(VZErrorInternal, @"A directory could not be shared any longer.", reason, nil, nil);
}

- (void)endNow {
    [self stopWatching];
    if (_ended || _process == nil)
        return;
    _ended = YES;
    qemu_kill(_process.number);
    if (qemu_await_exit(_process.number, END_NOW_MILLISECONDS))
        qemu_reap(_process.number);
    else
        qemu_reap_later(_process);
}

#pragma mark Changing

- (BOOL)changeToShare:(VZDirectoryShare *)share error:(NSError **)error {
    if (share == _share)
        return YES;
    NSError *wrong = nil;
    @autoreleasepool {
        wrong = [self errorOfChangingToShare:share];
    }
    if (wrong == nil)
        _share = share;
    return wrong == nil || VZRefuse(error, wrong);
}

- (nullable NSError *)errorOfChangingToShare:(VZDirectoryShare *)share {
    Class single = [VZSingleDirectoryShare class];
    if ([_share isKindOfClass:single] || [share isKindOfClass:single])
        return VZErrorWithReason(
            VZErrorNotSupported, @"The share cannot be changed while the machine is there.",
            [NSString stringWithFormat:@"%@: a VZSingleDirectoryShare is what the guest has mounted, and virtiofsd serves no "
                                       @"other in its place.", [self title]],
            @"Stop the machine first, or use a VZMultipleDirectoryShare, which can take the place of another one.", nil);
    NSDictionary<NSString *, VZSharedDirectory *> *before = QEMUDirectoriesOfShare(_share);
    NSDictionary<NSString *, VZSharedDirectory *> *after = QEMUDirectoriesOfShare(share);
    NSMutableDictionary<NSString *, VZSharedDirectory *> *added = [NSMutableDictionary dictionary];
    NSMutableArray<NSString *> *removed = [NSMutableArray array];
    // What stays as it is stays to the guest, with all that it has open there.
    BOOL (^same)(NSString *) = ^BOOL(NSString *name) {
        return before[name].isReadOnly == after[name].isReadOnly && [before[name].path isEqual:after[name].path];
    };
    for (NSString *name in before)
        if (!same(name))
            [removed addObject:name];
    for (NSString *name in after)
        if (!same(name))
            added[name] = after[name];
    NSArray<NSString *> *names = nil;
    const char *removedNames[removed.count + 1];
    for (NSUInteger i = 0; i < removed.count; i++)
        removedNames[i] = removed[i].UTF8String; // of the pool
    NSString *root = [NSString stringWithFormat:@"/proc/%d/root", number_of_process(_process.number)];
    qemu_share_change change = {.process = _process.number,
                                .root_path = root.UTF8String, // of the pool
                                .has_user_namespace = _hasUserNamespace,
                                .removed_names = removedNames,
                                .removed_count = removed.count,
                                .directories = QEMUNativeDirectories(added, &names),
                                .directory_count = added.count,
                                .failed = added.count};
    const char *step = "";
    int number = qemu_call_in_child(qemu_change_share_mounts, &change, &step);
    free(change.directories);
    if (number == 0)
        return nil;
    return [self errorOfDirectory:change.failed < names.count ? names[change.failed] : nil
                               in:added
                           number:number
                             step:step];
}

@end
