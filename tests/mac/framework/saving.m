// SPDX-License-Identifier: Apache-2.0
// What a framework may do that promises nothing of the file which a machine is saved to.
#import "policy.h"
#import <errno.h>
#import <fcntl.h>
#import <sys/stat.h>
#import <unistd.h>

typedef void (^Completion)(NSError *_Nullable error);
typedef void (*Save)(id self, SEL selector, NSURL *url, Completion completion);

// How a verb of ours begins and ends.
@interface VZVirtualMachine (Verbs)
- (BOOL)begin:(NSString *)verb
       allowed:(BOOL)allowed
          from:(NSString *)states
         state:(VZVirtualMachineState)state
    completion:(Completion)completion;
- (void)finishInState:(VZVirtualMachineState)state error:(nullable NSError *)error;
@end

static Save original_save;
static const char half[] = "half a state";

static NSString *path_with(NSURL *url, NSString *end) {
    return [url.path stringByAppendingString:end];
}

static void make_file(NSString *path) {
    int file = open(path.fileSystemRepresentation, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0)
        return; // as where no file can be made: the error says why, or does not
    if (write(file, half, sizeof half) != sizeof half && errno != ENOSPC)
        played_mac_fail(@"%@ cannot be written", path);
    close(file);
}

static void make_folder(NSString *path) {
    if (mkdir(path.fileSystemRepresentation, 0755) != 0)
        played_mac_fail(@"%@ cannot be made: %d", path, errno);
    make_file([path stringByAppendingString:@"/memory"]);
    if (mkdir([path stringByAppendingString:@"/devices"].fileSystemRepresentation, 0500) != 0)
        played_mac_fail(@"there is no folder in %@", path);
}

/// Names the file wherever an error can.
static NSError *save_error(NSURL *url) {
    NSMutableDictionary *information = [NSMutableDictionary dictionary];
    information[NSLocalizedDescriptionKey] =
        [NSString stringWithFormat:@"The file “%@” couldn’t be saved.", url.lastPathComponent];
    information[NSLocalizedFailureReasonErrorKey] =
        [NSString stringWithFormat:@"%@ (%@) was not written.", url.path, url];
    information[NSFilePathErrorKey] = url.path;
    information[NSURLErrorKey] = url;
    information[@"Paths"] = @[ url.path, @{@"URL" : url} ];
    NSDictionary<NSString *, id> *cause = played_mac_object(@"saving cause");
    if (cause != nil)
        information[NSUnderlyingErrorKey] = [NSError errorWithDomain:cause[@"domain"]
                                                                code:[cause[@"code"] integerValue]
                                                            userInfo:@{NSFilePathErrorKey : url.path}];
    return [NSError errorWithDomain:VZErrorDomain code:VZErrorSave userInfo:information];
}

/// The machine is saving until the block gives what came of it. Where it is gone by then, that is told all the same.
static void save_as(VZVirtualMachine *machine, Completion completion, NSError *_Nullable (^end)(void)) {
    [machine begin:@"save" allowed:YES from:@"paused" state:VZVirtualMachineStateSaving completion:completion];
    __weak VZVirtualMachine *weak_machine = machine;
    played_mac_when_allowed(@"saving until", machine.queue, ^{
        VZVirtualMachine *strong_machine = weak_machine;
        NSError *error = end();
        if (strong_machine != nil)
            [strong_machine finishInState:VZVirtualMachineStatePaused error:error];
        else
            completion(error);
    });
}

static void save(VZVirtualMachine *self, SEL selector, NSURL *url, Completion completion) {
    NSString *what = played_mac_text(@"saving") ?: @"";
    NSError * (^fail)(void) = ^{
        return save_error(url);
    };
    NSError * (^succeed)(void) = ^{
        return (NSError *)nil;
    };
    if (self.state != VZVirtualMachineStatePaused) {
        original_save(self, selector, url, completion);
    } else if (access(url.path.fileSystemRepresentation, F_OK) == 0) {
        save_as(self, completion, fail); // nobody says that it was there
    } else if ([what isEqualToString:@"half"]) {
        make_file(url.path);
        save_as(self, completion, fail);
    } else if ([what isEqualToString:@"beside"]) {
        make_file(url.path);
        make_file(path_with(url, @".lock"));
        make_folder(path_with(url, @".parts"));
        save_as(self, completion, fail);
    } else if ([what isEqualToString:@"half a folder"]) {
        make_folder(url.path);
        save_as(self, completion, fail);
    } else if ([what isEqualToString:@"a folder"]) {
        make_folder(url.path);
        save_as(self, completion, succeed);
    } else if ([what isEqualToString:@"whole at once"]) {
        make_file(url.path);
        save_as(self, completion, succeed);
    } else if ([what isEqualToString:@"nothing"]) {
        save_as(self, completion, succeed);
    } else if ([what isEqualToString:@"raise"]) {
        make_file(url.path);
        dispatch_async(self.queue, ^{
            make_file(url.path); // it goes on all the same
            completion(nil);
        });
        [NSException raise:NSInternalInconsistencyException format:@"%@ is not what it was", url.path];
    } else if ([what isEqualToString:@"lost"]) {
        make_file(url.path); // and the handler is let go
    } else if ([what isEqualToString:@"fail, then succeed"]) {
        make_file(url.path);
        dispatch_queue_t queue = self.queue;
        save_as(
            self,
            ^(NSError *_Nullable error) {
                completion(error);
                dispatch_async(queue, ^{
                    make_file(url.path);
                    completion(nil);
                });
            },
            fail);
    } else if ([what isEqualToString:@"succeed, then fail"]) {
        original_save(self, selector, url, ^(NSError *_Nullable error) {
            completion(error);
            completion(save_error(url));
        });
    } else {
        original_save(self, selector, url, ^(NSError *_Nullable error) {
            chmod(url.path.fileSystemRepresentation, 0644); // as the umask has it
            completion(error);
        });
    }
}

__attribute__((constructor)) static void play_saving(void) {
    original_save = PLAYED_MAC_METHOD(Save, played_mac_replace([VZVirtualMachine class],
                                                               @selector(saveMachineStateToURL:completionHandler:),
                                                               PLAYED_MAC_FUNCTION(save)));
}
