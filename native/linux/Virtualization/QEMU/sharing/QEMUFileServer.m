// SPDX-License-Identifier: Apache-2.0
#import "QEMUFileServer.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "QEMU/process/QEMUEnd.h"
#import "QEMU/program/QEMUFileServerProgram.h"
#import "host/HostProcess.h"
#import "QEMUSharedDirectories.h"
#import <errno.h>
#import <shown_text.h>
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
    HostDescriptor *_listener; // until the process has it
    HostProcess *_process;
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
    NSArray<HostDescriptor *> *pair = [HostDescriptor listeningPairWithError:&cause];
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

- (NSString *)propertyOfShare {
    return [NSString stringWithFormat:@"directorySharingDevices[%lu].share", (unsigned long)_index];
}

- (NSError *)startErrorWithReason:(NSString *)reason cause:(NSError *)cause {
    return VZErrorWithReason(VZErrorInternal, QEMUStartFailure,
                             [NSString stringWithFormat:@"%@: %@.", [self title], reason], nil, cause);
}

/// What is wrong with the directory of that name, or, where it is not for one, with the whole.
- (NSError *)errorOfDirectory:(nullable NSString *)name
                           in:(VZDirectoryShare *)share
                       number:(int)number
                         step:(const char *)step {
    NSURL *url = name != nil ? QEMUDirectoriesOfShare(share)[name].URL : nil;
    if (url == nil)
        return [self startErrorWithReason:[NSString stringWithFormat:@"%@ (%s)", VZSystemCallErrorText(number), step]
                                    cause:VZSystemCallError(number, nil)];
    NSString *reason = nil;
    return VZErrorWithReason(VZErrorInternal, @"The directory could not be shared.",
                             [NSString stringWithFormat:@"%@.%@.URL is %@, which cannot be shared: %@ (%s).",
                                                        [self propertyOfShare], QEMUPropertyOfDirectory(name),
                                                        VZQuotedPathOfFileURL(url), VZSystemCallErrorText(number),
                                                        step],
                             @"Name an existing directory that this user may read.",
                             VZSystemCallError(number, VZPathOfFileURL(url, &reason)));
}

#pragma mark Starting

- (BOOL)startOnQueue:(dispatch_queue_t)queue controlGroup:(HostDescriptor *)controlGroup error:(NSError **)error {
    NSError *wrong = nil;
    @autoreleasepool {
        wrong = [self startIn:controlGroup];
        __weak QEMUFileServer *weak_self = self;
        [_process watchOnQueue:queue
                    endHandler:^{
                        [weak_self processEnded];
                    }];
    }
    _listener = nil;
    return wrong == nil || VZRefuse(error, wrong);
}

- (nullable NSError *)startIn:(nullable HostDescriptor *)controlGroup {
    // As it is now: it may have been set since this was made.
    _share = _configuration.share;
    NSError *error = nil;
    // Held until it is served.
    __attribute__((objc_precise_lifetime)) QEMUOpenDirectories *directories =
        [[QEMUOpenDirectories alloc] initWithShare:_share as:[self propertyOfShare] error:&error];
    if (directories == nil)
        return error;
    host_user_maps maps = host_maps_of_user();
    host_share_mounts mounts = {.directories = directories.native,
                                .directory_count = directories.names.count,
                                .user_map = maps.user,
                                .group_map = maps.group,
                                .failed = directories.names.count};
    host_process_failure failure;
    // It is to serve files as their owners: root's has root's capabilities though this process gave up its own. It
    // gives up all that it does not need by itself.
    _process = [[HostProcess alloc] initWithPath:_path
                                       arguments:_arguments
                                     descriptors:@[ _listener ]
                                         prepare:host_make_share_mounts
                                         context:&mounts
                               mayGainPrivileges:YES
                                     confinement:NULL
                                    controlGroup:controlGroup
                                         failure:&failure];
    if (_process == nil) {
        if (mounts.failed < directories.names.count)
            return [self errorOfDirectory:directories.names[mounts.failed]
                                       in:_share
                                   number:failure.number
                                     step:failure.step];
        return
            [self startErrorWithReason:[NSString stringWithFormat:@"%@ could not be run: %@ (%s)", _path,
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
    host_exit exit = [_process reap];
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

- (NSError *)errorOfExit:(host_exit)exit {
    NSString *how = !exit.known      ? @"ended"
                    : exit.signalled ? [NSString stringWithFormat:@"was killed by signal %d (%s)", exit.status,
                                                                  strsignal(exit.status)]
                                     : [NSString stringWithFormat:@"ended with exit status %d", exit.status];
    NSString *words = _process.lastWords;
    NSString *reason = [NSString
        stringWithFormat:@"%@: virtiofsd, which served it, %@%@.", [self title], how,
                         words.length > 0 ? [@" and said: " stringByAppendingString:applevz_shown_words(words)] : @""];
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
    NSError *wrong = nil;
    @autoreleasepool {
        wrong = [self errorOfChangingToShare:share];
    }
    if (wrong == nil)
        _share = share;
    return wrong == nil || VZRefuse(error, wrong);
}

- (NSError *)errorOfChangingSingleDirectory {
    return VZErrorWithReason(
        VZErrorNotSupported, @"The share cannot be changed while the machine is there.",
        [NSString
            stringWithFormat:@"%@: a VZSingleDirectoryShare is what the guest has mounted, and virtiofsd serves no "
                             @"other in its place.",
                             [self title]],
        @"Stop the machine first, or use a VZMultipleDirectoryShare, which can take the place of another one.", nil);
}

- (nullable NSError *)errorOfChangingToShare:(VZDirectoryShare *)share {
    NSDictionary<NSString *, VZSharedDirectory *> *before = QEMUDirectoriesOfShare(_share);
    NSDictionary<NSString *, VZSharedDirectory *> *after = QEMUDirectoriesOfShare(share);
    BOOL (^mayStay)(NSString *) = ^BOOL(NSString *name) {
        return before[name] != nil && after[name] != nil && before[name].isReadOnly == after[name].isReadOnly;
    };
    BOOL isSingle = before[@""] != nil || after[@""] != nil;
    if (isSingle && !mayStay(@""))
        return [self errorOfChangingSingleDirectory];
    NSError *error = nil;
    __attribute__((objc_precise_lifetime)) QEMUOpenDirectories *directories =
        [[QEMUOpenDirectories alloc] initWithShare:share as:[self propertyOfShare] error:&error];
    if (directories == nil)
        return error;
    for (NSUInteger i = 0; i < directories.names.count; i++)
        directories.native[i].may_stay = mayStay(directories.names[i]);
    const char *removedNames[before.count + 1];
    size_t removedCount = 0;
    for (NSString *name in before)
        if (!mayStay(name))
            removedNames[removedCount++] = name.UTF8String; // of the pool
    NSString *root = [NSString stringWithFormat:@"/proc/%d/root", number_of_process(_process.descriptor)];
    host_share_change change = {.process = _process.descriptor,
                                .root_path = root.UTF8String, // of the pool
                                .has_user_namespace = _hasUserNamespace,
                                .removed_names = removedNames,
                                .removed_count = removedCount,
                                .directories = directories.native,
                                .directory_count = directories.names.count,
                                .failed = directories.names.count};
    const char *step = "";
    int number = host_call_in_child(host_change_share_mounts, &change, &step);
    if (number == 0)
        return nil;
    if (number == ESTALE && isSingle)
        return [self errorOfChangingSingleDirectory];
    return [self errorOfDirectory:change.failed < directories.names.count ? directories.names[change.failed] : nil
                               in:share
                           number:number
                             step:step];
}

@end
