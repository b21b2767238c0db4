// SPDX-License-Identifier: Apache-2.0
#import "QEMUFileServer.h"
#import "../VZConfiguration+Private.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUFileServerProgram.h"
#import "QEMUProcess.h"
#import "QEMUSharedDirectories.h"
#import <stdlib.h>
#import <string.h>

enum {
    SOCKET_DESCRIPTOR = 3, // after standard input, output and error
};

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
    VZVirtioFileSystemDeviceConfiguration *_configuration;
    VZDirectoryShare *_share; // what it serves
    NSString *_path;
    NSArray<NSString *> *_arguments;
    QEMUDescriptor *_listener; // until the process has it
    QEMUProcess *_process;
    BOOL _hasUserNamespace;
    BOOL _ended;
    NSArray<dispatch_block_t> *_completions;
}

- (instancetype)initWithIndex:(NSUInteger)index
                configuration:(VZVirtioFileSystemDeviceConfiguration *)configuration
                        error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    _index = index;
    _tag = configuration.tag;
    _configuration = configuration;
    QEMUFileServerProgram *program = [QEMUFileServerProgram programWithError:error];
    if (program == nil)
        return nil;
    _path = program.path;
    _arguments = [program argumentsForSocket:SOCKET_DESCRIPTOR];
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
        __weak QEMUFileServer *weak_self = self;
        [_process watchOnQueue:queue
                    endHandler:^{
                        [weak_self processEnded];
                    }];
    }
    _listener = nil;
    return wrong == nil || VZRefuse(error, wrong);
}

- (nullable NSError *)start {
    // As it is now: it may have been set since this was made.
    _share = _configuration.share;
    NSDictionary<NSString *, VZSharedDirectory *> *directories = QEMUDirectoriesOfShare(_share);
    NSArray<NSString *> *names = nil;
    qemu_user_maps maps = QEMUMapsOfUser();
    qemu_share_mounts mounts = {.directories = QEMUNativeDirectories(directories, &names),
                                .directory_count = directories.count,
                                .user_map = maps.user,
                                .group_map = maps.group,
                                .failed = directories.count};
    qemu_process_failure failure;
    _process = [[QEMUProcess alloc] initWithPath:_path
                                       arguments:_arguments
                                     descriptors:@[ _listener ]
                                         prepare:qemu_make_share_mounts
                                         context:&mounts
                                         failure:&failure];
    free(mounts.directories);
    if (_process == nil) {
        if (mounts.failed < names.count)
            return [self errorOfDirectory:names[mounts.failed] in:directories number:failure.number step:failure.step];
        return [self startErrorWithReason:[NSString stringWithFormat:@"%@ could not be run: %@ (%s)", _path,
                                                                     VZSystemCallErrorText(failure.number), failure.step]
                                    cause:VZSystemCallError(failure.number, _path)];
    }
    _hasUserNamespace = mounts.has_user_namespace;
    return nil;
}

#pragma mark Ending

- (void)processEnded {
    void (^handler)(NSError *, BOOL) = self.endHandler;
    NSArray<dispatch_block_t> *completions = _completions;
    self.endHandler = nil;
    _completions = nil;
    _ended = YES;
    qemu_exit exit = [_process reap];
    NSError *error = [self errorOfExit:exit];
    if (handler != nil)
        handler(error, exit.known && !exit.signalled && exit.status == 0);
    for (dispatch_block_t completion in completions)
        completion();
}

- (void)endWithCompletion:(dispatch_block_t)completion {
    self.endHandler = nil;
    if (_ended || _process == nil) {
        completion();
        return;
    }
    _completions = [_completions ?: @[] arrayByAddingObject:completion];
    [_process kill];
}

- (NSError *)errorOfExit:(qemu_exit)exit {
    NSString *how = !exit.known      ? @"ended"
                    : exit.signalled ? [NSString stringWithFormat:@"was killed by signal %d (%s)", exit.status,
                                                                  strsignal(exit.status)]
                                     : [NSString stringWithFormat:@"ended with exit status %d", exit.status];
    NSString *words = _process.lastWords;
    NSString *reason = [NSString stringWithFormat:@"%@: virtiofsd, which served it, %@%@.", [self title], how,
                                                  words.length > 0 ? [@" and said: " stringByAppendingString:words] : @""];
    return VZErrorWithReason(VZErrorInternal, @"A directory could not be shared any longer.", reason, nil, nil);
}

- (void)endNow {
    self.endHandler = nil;
    _completions = nil;
    _ended = YES;
    [_process endNow];
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
    NSString *root = [NSString stringWithFormat:@"/proc/%d/root", number_of_process(_process.descriptor)];
    qemu_share_change change = {.process = _process.descriptor,
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
