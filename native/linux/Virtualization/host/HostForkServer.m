// SPDX-License-Identifier: Apache-2.0
#import "HostForkServer.h"
#import "HostForkProtocol.h"
#import "HostProcess.h"
#import "HostProgramFile.h"
#import "support/HostDescriptor.h"
#import "support/VZErrors+Private.h"
#import "support/VZFilePath+Private.h"
#import <errno.h>
#import <fcntl.h>
#import <limits.h>
#import <linux/filter.h>
#import <poll.h>
#import <string.h>
#import <sys/mman.h>
#import <sys/socket.h>
#import <sys/stat.h>
#import <time.h>
#import <unistd.h>

enum {
    // A server that has not answered by then is given up, and with it what it was to make.
    PATIENCE_MILLISECONDS = 2000,
    // What a command line may have, to be shown as a whole.
    TITLE_LENGTH = 16 * 1024,
};

typedef struct {
    dev_t device;
    ino_t number;
    struct timespec changed;
} identity;

static BOOL identify(NSString *path, identity *found) {
    struct stat status;
    if (stat(VZBytesOfPath(path), &status) != 0)
        return NO;
    *found = (identity){status.st_dev, status.st_ino, status.st_ctim};
    return YES;
}

static uint64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void add_texts(NSMutableData *data, char *const *texts, uint32_t *count) {
    for (*count = 0; texts[*count] != NULL; ++*count)
        [data appendBytes:texts[*count] length:strlen(texts[*count]) + 1];
}

/// What describes the child, as a file in memory.
static HostDescriptor *file_of(const host_spawn_plan *plan) {
    const struct host_confinement *confinement = plan->confinement;
    const host_filter *filter = confinement != NULL ? confinement->filter : NULL;
    host_fork_request request = {
        .parent = getpid(),
        .descriptor_count = (uint32_t)plan->descriptor_count,
        .has_rules = confinement != NULL && confinement->rules >= 0,
        .has_control_group = plan->control_group > 0,
        .is_confined = confinement != NULL,
        .has_filter = filter != NULL,
    };
    NSMutableData *data = [NSMutableData dataWithLength:sizeof request];
    if (confinement != NULL) {
        request.confinement = *confinement;
        request.confinement.filter = NULL;
    }
    if (filter != NULL) {
        request.filter = *filter;
        request.filter.instructions = NULL;
        [data appendBytes:filter->instructions length:filter->count * sizeof *filter->instructions];
    }
    add_texts(data, plan->arguments, &request.argument_count);
    add_texts(data, plan->environment, &request.environment_count);
    request.length = data.length;
    [data replaceBytesInRange:NSMakeRange(0, sizeof request) withBytes:&request];
    int number = memfd_create("applevz start", MFD_CLOEXEC);
    HostDescriptor *file = number >= 0 ? [[HostDescriptor alloc] initWithDescriptor:number] : nil;
    return file != nil && pwrite(number, data.bytes, data.length, 0) == (ssize_t)data.length ? file : nil;
}

@implementation HostForkServer {
    HostProcess *_process;
    HostDescriptor *_socket;
    identity _program;
    BOOL _isReady;
    BOOL _isGone;
}

static BOOL refuse(NSError **error, NSString *what, int number, NSError *_Nullable cause) {
    NSString *reason = [NSString stringWithFormat:@"%@: %@.", what, VZSystemCallErrorText(number)];
    return VZRefuse(error,
                    VZErrorWithReason(VZErrorInternal, @"The fork server could not be begun.", reason, nil, cause));
}

- (instancetype)initWithProgram:(NSString *)path library:(NSString *)library error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    NSError *cause = nil;
    HostDescriptor *file = [HostDescriptor openPath:library flags:O_RDONLY error:&cause];
    if (file == nil) {
        refuse(error, library, (int)cause.code, cause);
        return nil;
    }
    char interpreter[PATH_MAX];
    if (!host_program_is_native(VZBytesOfPath(path), interpreter)) {
        // What loads the library is not the program then, but what executes it.
        refuse(error, path, ENOEXEC, nil);
        return nil;
    }
    int ends[2];
    if (!identify(path, &_program) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        refuse(error, path, errno, nil);
        return nil;
    }
    _socket = [[HostDescriptor alloc] initWithDescriptor:ends[0]];
    HostDescriptor *other = [[HostDescriptor alloc] initWithDescriptor:ends[1]];
    // A program that the library does not take over tells its version, and ends. Behind that is room for what the
    // copies' command lines are.
    NSString *room = [@"" stringByPaddingToLength:TITLE_LENGTH withString:@" " startingAtIndex:0];
    host_process_failure failure;
    _process = [[HostProcess alloc] initWithPath:path
                                       arguments:@[ @"-version", room ]
                                     environment:@[
                                         // By its number: a blank or a colon in a path would end it.
                                         @"LD_PRELOAD=/proc/self/fd/4",
                                         @HOST_FORK_VARIABLE "=1",
                                     ]
                                     descriptors:@[ other, file ]
                                         prepare:NULL
                                         context:NULL
                               mayGainPrivileges:NO
                                     confinement:NULL
                                    controlGroup:nil
                                      forkServer:nil
                                         failure:&failure];
    if (_process != nil)
        return self;
    refuse(error, path, failure.number, nil);
    return nil;
}

- (BOOL)isOfProgram:(NSString *)path {
    identity now;
    return identify(path, &now) && now.device == _program.device && now.number == _program.number &&
           now.changed.tv_sec == _program.changed.tv_sec && now.changed.tv_nsec == _program.changed.tv_nsec;
}

/// The next answer, and what came with it. NO where there is none in time, or `ended` says that there will be none.
- (BOOL)takeAnswer:(host_fork_answer *)answer descriptor:(int *)descriptor ended:(int)ended milliseconds:(int)wait {
    struct pollfd polled[] = {{.fd = _socket.number, .events = POLLIN}, {.fd = ended, .events = POLLIN}};
    int result;
    do
        result = poll(polled, 2, wait);
    while (result < 0 && errno == EINTR);
    if (result <= 0 || (polled[0].revents & POLLIN) == 0)
        return NO;
    struct iovec text = {answer, sizeof *answer};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(_socket.number, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != sizeof *answer)
        return NO;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
    return YES;
}

- (BOOL)isReady {
    host_fork_answer answer;
    int none = -1;
    // It says so once, when it is.
    if (!_isReady && [self takeAnswer:&answer descriptor:&none ended:-1 milliseconds:0])
        _isReady = answer.kind == HOST_FORK_READY;
    return _isReady;
}

- (BOOL)sendRequest:(HostDescriptor *)request plan:(const host_spawn_plan *)plan {
    int numbers[HOST_FORK_MAXIMUM_DESCRIPTORS];
    size_t count = 0;
    numbers[count++] = request.number;
    if (plan->confinement != NULL && plan->confinement->rules >= 0)
        numbers[count++] = plan->confinement->rules;
    if (plan->control_group > 0)
        numbers[count++] = plan->control_group;
    memcpy(numbers + count, plan->descriptors, plan->descriptor_count * sizeof *numbers);
    count += plan->descriptor_count;
    char byte = 0;
    struct iovec text = {&byte, 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof numbers)] = {0};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_SPACE(count * sizeof *numbers)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(count * sizeof *numbers), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), numbers, count * sizeof *numbers);
    return sendmsg(_socket.number, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

- (int)spawn:(const host_spawn_plan *)plan {
    // With its rules and its control group.
    const size_t most = HOST_FORK_MAXIMUM_DESCRIPTORS - 3;
    if (_isGone || !self.isReady || plan->may_gain_privileges || plan->prepare != NULL || plan->descriptor_count > most)
        return -1;
    HostDescriptor *request = file_of(plan);
    if (request == nil)
        return -1;
    host_fork_answer made = {0}, becomes = {0};
    int pidfd = -1;
    const uint64_t end = milliseconds() + PATIENCE_MILLISECONDS;
    BOOL isAsked = [self sendRequest:request plan:plan];
    while (isAsked && (made.kind == 0 || (made.error == 0 && becomes.kind == 0))) {
        const uint64_t now = milliseconds();
        host_fork_answer answer;
        // Until there is a child, the end of the server says that there will be no answer.
        if (![self takeAnswer:&answer
                   descriptor:&pidfd
                        ended:pidfd >= 0 ? pidfd : _process.descriptor
                 milliseconds:now < end ? (int)(end - now) : 0])
            break;
        if (answer.kind == HOST_FORK_MADE)
            made = answer;
        else
            becomes = answer;
    }
    if (made.kind != 0 && made.error == 0 && becomes.kind != 0 && becomes.error == 0)
        return pidfd;
    if (pidfd >= 0) {
        host_kill(pidfd);
        if (host_await_exit(pidfd, PATIENCE_MILLISECONDS))
            host_reap(pidfd);
        close(pidfd);
    }
    if (made.error == 0 && becomes.error == 0) {
        // What it does is not known. It is asked for nothing more.
        _isGone = YES;
        [_process kill];
    }
    return -1;
}

@end
