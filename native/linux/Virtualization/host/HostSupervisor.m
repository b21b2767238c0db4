// SPDX-License-Identifier: Apache-2.0
#import "HostSupervisor.h"
#import "HostAddresses.h"
#import "HostSupervision.h"
#import "support/VZErrors+Private.h"
#import "support/VZFilePath+Private.h"
#import <arpa/inet.h>
#import <dispatch/dispatch.h>
#import <errno.h>
#import <fcntl.h>
#import <limits.h>
#import <poll.h>
#import <pthread.h>
#import <stddef.h>
#import <stdio.h>
#import <stdlib.h>
#import <string.h>
#import <sys/syscall.h>
#import <sys/un.h>
#import <unistd.h>

enum {
    // At a time; then other queues have their turn.
    CALLS = 256,
    // One that sends often sends again soon: for so long this thread waits for it.
    LINGER_MILLISECONDS = 1,
    // More than any datagram holds. Of a stream's more is sent by the next call.
    MOST_BYTES = 64 * 1024,
    MOST_PARTS = 64,
    // Connections on sockets that wait, which their threads, not this one, wait for.
    MOST_CONNECTING = 16,
    PORT_OF_NAMES = 53,
    FIRST_FREE_PORT = 1024,
};

typedef struct {
    socklen_t length;
    union {
        host_address internet;
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_storage room;
    };
} address_copy;

/// A message as the program has it in its memory.
typedef struct {
    uint64_t name;
    uint32_t name_length;
    uint64_t parts;
    uint64_t part_count;
    uint64_t control;
    uint64_t control_length;
    int flags;
} message_there;

/// What is sent for it: of the bytes, as many. What is cut is the first part of it, which a stream's sender goes on
/// from, and which is no datagram.
typedef struct {
    size_t count;
    BOOL isCut;
    uint64_t countAt; // where in its memory it is told how much it was; 0 for the call's value alone
    address_copy address;
} outgoing;

_Static_assert(sizeof(message_there) == sizeof(struct msghdr), "The kernel's structure is another one.");

static pid_t process_of(int pidfd) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0)
        close(file);
    text[count > 0 ? count : 0] = '\0';
    const char *line = strstr(text, "\nPid:");
    return line != NULL ? (pid_t)atoi(line + strlen("\nPid:")) : -1;
}

/// Whether a call on it is answered at once, whatever becomes of it.
static BOOL waits(int descriptor) {
    return (fcntl(descriptor, F_GETFL) & O_NONBLOCK) == 0;
}

static int option_of(int descriptor, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

@implementation HostSupervisor {
    dispatch_queue_t _queue;
    dispatch_source_t _source;
    BOOL _begun;
    HostDescriptor *_listener;
    HostDescriptor *_process; // a pidfd
    HostDescriptor *_routes;
    pid_t _firstThread;
    NSUInteger _descriptorLimit;
    char *_bytes;                                        // of what is sent; the queue's
    NSMutableSet<dispatch_source_t> *_connecting;        // the queue's
    pthread_mutex_t _lock;                               // of what is below
    NSMutableDictionary<NSNumber *, NSNumber *> *_reach; // by the network's index
    NSMutableSet<NSNumber *> *_ports;
    // What the program says, and with what this process says it: a folder and a name, or nothing else than it does.
    NSMutableDictionary<NSString *, NSArray *> *_paths;
    BOOL _reachesLocalSockets;
    HostDescriptor *_given; // for the path; nil once it was
    NSString *_givenPath;
}

enum { REACHES_INTERNET = 1, REACHES_HOST = 2 };

- (instancetype)initWithSocket:(int)socket
                       process:(int)pidfd
               descriptorLimit:(NSUInteger)limit
                         error:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    pthread_mutex_init(&_lock, NULL);
    int listener = host_listener_take(socket);
    if (listener < 0) {
        VZRefuse(error, VZSystemCallError(errno, nil));
        return nil;
    }
    _listener = [[HostDescriptor alloc] initWithDescriptor:listener];
    _process = [HostDescriptor duplicateOf:pidfd error:error];
    if (_process == nil)
        return nil;
    int routes = host_routes_open();
    if (routes < 0) {
        VZRefuse(error, VZSystemCallError(errno, nil));
        return nil;
    }
    _routes = [[HostDescriptor alloc] initWithDescriptor:routes];
    _firstThread = process_of(pidfd);
    _descriptorLimit = limit;
    _bytes = malloc(MOST_BYTES);
    if (_bytes == NULL)
        abort();
    _reach = [NSMutableDictionary dictionary];
    _ports = [NSMutableSet set];
    _paths = [NSMutableDictionary dictionary];
    _connecting = [NSMutableSet set];
    _queue = dispatch_queue_create("applevz.supervisor", DISPATCH_QUEUE_SERIAL);
    _source = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)listener, 0, _queue);
    __weak HostSupervisor *weak_self = self;
    dispatch_source_set_event_handler(_source, ^{
        [weak_self takeCalls];
    });
    HostDescriptor *kept = _listener;
    // Until its cancellation is through a source uses the descriptor, which must not be closed before.
    dispatch_source_set_cancel_handler(_source, ^{
        (void)kept;
    });
    return self;
}

- (void)begin {
    if (!_begun && _source != nil)
        dispatch_resume(_source);
    _begun = YES;
}

- (void)dealloc {
    [self begin]; // a source that waits is not cancelled
    [self end];
    for (dispatch_source_t source in _connecting)
        dispatch_source_cancel(source);
    free(_bytes);
    pthread_mutex_destroy(&_lock);
}

- (void)end {
    dispatch_source_t source;
    pthread_mutex_lock(&_lock);
    source = _source;
    _source = nil;
    pthread_mutex_unlock(&_lock);
    if (source != nil)
        dispatch_source_cancel(source);
}

#pragma mark What is allowed

- (void)setReachesInternet:(BOOL)internet host:(BOOL)host ofNetwork:(NSUInteger)index {
    pthread_mutex_lock(&_lock);
    _reach[@(index)] = @((internet ? REACHES_INTERNET : 0) | (host ? REACHES_HOST : 0));
    pthread_mutex_unlock(&_lock);
}

- (void)allowServerAtPort:(NSUInteger)port {
    pthread_mutex_lock(&_lock);
    [_ports addObject:@(port)];
    pthread_mutex_unlock(&_lock);
}

- (void)allowServerAtPath:(NSString *)path inFolder:(HostDescriptor *)folder name:(NSString *)name {
    pthread_mutex_lock(&_lock);
    _paths[path] = folder != nil && name != nil ? @[ folder, name ] : @[];
    pthread_mutex_unlock(&_lock);
}

- (void)giveDescriptor:(HostDescriptor *)descriptor forPath:(NSString *)path {
    pthread_mutex_lock(&_lock);
    _given = descriptor;
    _givenPath = path;
    pthread_mutex_unlock(&_lock);
}

- (void)allowLocalSockets {
    pthread_mutex_lock(&_lock);
    _reachesLocalSockets = YES;
    pthread_mutex_unlock(&_lock);
}

/// Makes the path of a socket what it is in this process, and keeps what it leads through. 0, or an errno.
- (int)resolve:(address_copy *)copy through:(HostDescriptor **)through {
    // A name that is no path begins with a null character.
    size_t room = copy->length - offsetof(struct sockaddr_un, sun_path);
    NSString *path = room > 0 && copy->local.sun_path[0] == '/' ? VZPathWithBytes(copy->local.sun_path) : nil;
    pthread_mutex_lock(&_lock);
    NSArray *place = path != nil ? _paths[path] : nil;
    BOOL reachesAll = _reachesLocalSockets;
    pthread_mutex_unlock(&_lock);
    if (place.count == 0)
        return place != nil || (reachesAll && ![path hasPrefix:@"/proc/"]) ? 0 : EACCES;
    *through = place[0];
    NSString *here = [NSString stringWithFormat:@"/proc/self/fd/%d/%@", (*through).number, place[1]];
    const char *bytes = VZBytesOfPath(here);
    if (strlen(bytes) >= sizeof copy->local.sun_path)
        return ENAMETOOLONG;
    memset(copy->local.sun_path, 0, sizeof copy->local.sun_path);
    strcpy(copy->local.sun_path, bytes);
    copy->length = sizeof copy->local;
    return 0;
}

/// 0, or an errno.
- (int)errorOfAddress:(const host_address *)address isStream:(BOOL)isStream of:(const host_call *)call {
    NSUInteger port = ntohs(address->any.sa_family == AF_INET ? address->four.sin_port : address->six.sin6_port);
    int reach = 0;
    pthread_mutex_lock(&_lock);
    for (NSNumber *one in _reach.objectEnumerator)
        reach |= one.intValue;
    BOOL hasServers = _ports.count > 0;
    BOOL isServer = isStream && [_ports containsObject:@(port)];
    pthread_mutex_unlock(&_lock);
    BOOL isForGuest = call->thread == _firstThread;
    if (isServer && !isForGuest)
        return 0;
    if ((reach & REACHES_INTERNET) == 0 && (isForGuest || !hasServers))
        return EACCES;
    if ((reach & REACHES_HOST) != 0)
        return 0;
    if (port == PORT_OF_NAMES && host_address_is_name_server(address))
        return 0;
    // Of what is no server's, for a disk's sake names are asked for, and nothing else.
    return (reach & REACHES_INTERNET) != 0 ? host_address_error(_routes.number, address) : EACCES;
}

/// As which address it is waited: the way in for a connection to the guest is one of loopback's.
- (int)errorOfBinding:(const host_address *)address {
    if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6)
        return EACCES;
    NSUInteger port = ntohs(address->any.sa_family == AF_INET ? address->four.sin_port : address->six.sin6_port);
    // What the program may not, which has no rights, this process perhaps may.
    return host_address_is_loopback(address) && (port == 0 || port >= FIRST_FREE_PORT) ? 0 : EACCES;
}

#pragma mark Calls

- (void)takeCalls {
    for (int i = 0; i < CALLS; i++) {
        struct pollfd waiting = {.fd = _listener.number, .events = POLLIN};
        int ready = poll(&waiting, 1, i == 0 ? 0 : LINGER_MILLISECONDS);
        if (ready > 0 && (waiting.revents & POLLIN) == 0) {
            // The program has ended, and is for ever ready.
            [self end];
            return;
        }
        if (ready <= 0)
            return;
        host_call call;
        if (host_call_receive(_listener.number, &call) == 0)
            [self take:&call];
    }
}

- (void)take:(const host_call *)call {
    switch (call->number) {
    case SYS_socket:
        [self takeSocket:call];
        return;
    case SYS_connect:
    case SYS_bind:
        [self takeConnection:call];
        return;
    case SYS_sendto:
        [self takeSending:call];
        return;
    case SYS_sendmsg:
        [self takeMessage:call at:call->arguments[1] countAt:0];
        return;
    case SYS_sendmmsg:
        // The first of them, which is less than was asked for, and says so. How long it was follows it.
        if ((unsigned int)call->arguments[2] == 0)
            [self answer:call value:0 error:0];
        else
            [self takeMessage:call at:call->arguments[1] countAt:call->arguments[1] + sizeof(struct msghdr)];
        return;
    case SYS_openat:
        [self takeOpening:call path:call->arguments[1]];
        return;
#ifdef SYS_open
    case SYS_open:
        [self takeOpening:call path:call->arguments[0]];
        return;
#endif
    default:
        [self answer:call value:0 error:ENOSYS];
    }
}

- (void)answer:(const host_call *)call value:(int64_t)value error:(int)error {
    host_call_answer(_listener.number, call, value, error);
}

/// There is nothing in its arguments but numbers, which the filter has looked at.
- (void)takeSocket:(const host_call *)call {
    long count = host_call_descriptor_count(call);
    if (count >= 0 && (unsigned long)count < _descriptorLimit)
        host_call_allow(_listener.number, call);
    else
        [self answer:call value:0 error:EMFILE];
}

/// Whatever the path is by the time that the kernel reads it: the program has no rights to open by it but its own.
- (void)takeOpening:(const host_call *)call path:(uint64_t)address {
    pthread_mutex_lock(&_lock);
    HostDescriptor *given = _given;
    const char *path = given != nil ? VZBytesOfPath(_givenPath) : "";
    pthread_mutex_unlock(&_lock);
    size_t size = strlen(path) + 1;
    char there[PATH_MAX];
    if (given == nil || size > sizeof there || !host_call_read(call, address, there, size) ||
        memcmp(there, path, size) != 0) {
        host_call_allow(_listener.number, call);
        return;
    }
    host_call_give(_listener.number, call, given.number);
    pthread_mutex_lock(&_lock);
    _given = nil;
    pthread_mutex_unlock(&_lock);
}

/// The address in the program's memory, once. 0, or an errno.
- (int)copy:(address_copy *)copy at:(uint64_t)address length:(uint64_t)length of:(const host_call *)call {
    memset(copy, 0, sizeof *copy);
    if ((int)length < (int)sizeof(sa_family_t) || length > sizeof copy->room)
        return EINVAL;
    if (!host_call_read(call, address, &copy->room, (size_t)length))
        return EFAULT;
    copy->length = (socklen_t)length;
    switch (copy->any.sa_family) {
    case AF_INET:
        if (length < sizeof copy->internet.four)
            return EINVAL;
        copy->length = sizeof copy->internet.four;
        return 0;
    case AF_INET6:
        // The kernel does without the scope, which is the last of it.
        if (length < offsetof(struct sockaddr_in6, sin6_scope_id))
            return EINVAL;
        copy->length = sizeof copy->internet.six;
        return 0;
    case AF_UNIX:
        return length <= sizeof copy->local ? 0 : EINVAL;
    case AF_UNSPEC:
        return 0;
    default:
        return EAFNOSUPPORT;
    }
}

- (void)takeConnection:(const host_call *)call {
    address_copy copy;
    int error = [self copy:&copy at:call->arguments[1] length:(uint32_t)call->arguments[2] of:call];
    if (!host_call_waits(_listener.number, call))
        return;
    int number = error == 0 ? host_call_descriptor(_process.number, (int)call->arguments[0]) : -1;
    if (number < 0) {
        [self answer:call value:0 error:error ?: errno];
        return;
    }
    HostDescriptor *socket = [[HostDescriptor alloc] initWithDescriptor:number];
    if (call->number == SYS_bind) {
        error = [self errorOfBinding:&copy.internet];
        if (error == 0 && bind(number, &copy.any, copy.length) != 0)
            error = errno;
        [self answer:call value:0 error:error];
        return;
    }
    BOOL isStream = option_of(number, SO_TYPE) == SOCK_STREAM;
    HostDescriptor *through = nil;
    if (copy.any.sa_family == AF_UNIX)
        error = [self resolve:&copy through:&through];
    else if (copy.any.sa_family != AF_UNSPEC) // to nothing
        error = [self errorOfAddress:&copy.internet isStream:isStream of:call];
    if (error != 0)
        [self answer:call value:0 error:error];
    else if (isStream && waits(number))
        [self connect:socket to:&copy for:call];
    else
        [self answer:call value:0 error:connect(number, &copy.any, copy.length) == 0 ? 0 : errno];
    (void)through; // has been kept until here
}

/// Of a socket that waits until it is connected its thread waits for that, and no other thread. That it does so is a
/// property of what the program has, too: one that changes it meanwhile holds up this queue, which is its own.
- (void)connect:(HostDescriptor *)socket to:(const address_copy *)copy for:(const host_call *)call {
    int number = socket.number;
    int flags = fcntl(number, F_GETFL);
    if (_connecting.count >= MOST_CONNECTING) {
        [self answer:call value:0 error:EAGAIN];
        return;
    }
    fcntl(number, F_SETFL, flags | O_NONBLOCK);
    int error = connect(number, &copy->any, copy->length) == 0 ? 0 : errno;
    if (error != EINPROGRESS) {
        fcntl(number, F_SETFL, flags);
        [self answer:call value:0 error:error];
        return;
    }
    host_call waiting = *call;
    HostDescriptor *listener = _listener;
    dispatch_source_t source = dispatch_source_create(DISPATCH_SOURCE_TYPE_WRITE, (uintptr_t)number, 0, _queue);
    __weak HostSupervisor *weak_self = self;
    __weak dispatch_source_t weak_source = source;
    dispatch_source_set_event_handler(source, ^{
        int outcome = option_of(number, SO_ERROR);
        fcntl(number, F_SETFL, flags);
        host_call_answer(listener.number, &waiting, 0, outcome < 0 ? EIO : outcome);
        dispatch_source_t done = weak_source;
        HostSupervisor *supervisor = weak_self;
        if (done != nil) {
            dispatch_source_cancel(done);
            if (supervisor != nil)
                [supervisor->_connecting removeObject:done];
        }
    });
    dispatch_source_set_cancel_handler(source, ^{
        (void)socket;
    });
    [_connecting addObject:source];
    dispatch_resume(source);
}

/// Where it is sent to, looked at: the one to whom nothing may be sent is none. 0, or an errno.
- (int)errorOfSendingTo:(const address_copy *)copy socket:(int)socket of:(const host_call *)call {
    if (copy->length == 0)
        return 0; // to where the socket is connected to
    if (copy->any.sa_family == AF_UNSPEC || copy->any.sa_family == AF_UNIX)
        return EACCES;
    return [self errorOfAddress:&copy->internet isStream:option_of(socket, SO_TYPE) == SOCK_STREAM of:call];
}

- (void)send:(const outgoing *)outgoing of:(const host_call *)call {
    const address_copy *copy = &outgoing->address;
    if (!host_call_waits(_listener.number, call))
        return;
    int number = host_call_descriptor(_process.number, (int)call->arguments[0]);
    if (number < 0) {
        [self answer:call value:0 error:errno];
        return;
    }
    int error = [self errorOfSendingTo:copy socket:number of:call];
    if (error == 0 && outgoing->isCut && option_of(number, SO_TYPE) != SOCK_STREAM)
        error = EMSGSIZE;
    ssize_t sent = -1;
    // Nothing that would connect it, gather what is sent, or wait here.
    if (error == 0) {
        sent = sendto(number, _bytes, outgoing->count, MSG_DONTWAIT | MSG_NOSIGNAL,
                      copy->length > 0 ? &copy->any : NULL, copy->length);
        error = sent < 0 ? errno : 0;
    }
    close(number);
    uint32_t length = (uint32_t)(sent > 0 ? sent : 0);
    BOOL isCounted = outgoing->countAt != 0;
    if (isCounted && error == 0 && !host_call_write(call, outgoing->countAt, &length, sizeof length))
        error = EFAULT;
    [self answer:call value:isCounted ? 1 : sent error:error];
}

- (void)takeSending:(const host_call *)call {
    uint64_t length = call->arguments[2];
    outgoing outgoing = {.count = length < MOST_BYTES ? (size_t)length : MOST_BYTES, .isCut = length > MOST_BYTES};
    int error = [self copy:&outgoing.address at:call->arguments[4] length:(uint32_t)call->arguments[5] of:call];
    if (error == 0 && !host_call_read(call, call->arguments[1], _bytes, outgoing.count))
        error = EFAULT;
    if (error != 0)
        [self answer:call value:0 error:error];
    else
        [self send:&outgoing of:call];
}

- (void)takeMessage:(const host_call *)call at:(uint64_t)at countAt:(uint64_t)countAt {
    message_there message;
    struct {
        uint64_t base;
        uint64_t length;
    } parts[MOST_PARTS];
    outgoing outgoing = {.countAt = countAt};
    if (!host_call_read(call, at, &message, sizeof message)) {
        [self answer:call value:0 error:EFAULT];
        return;
    }
    outgoing.isCut = message.part_count > MOST_PARTS;
    size_t part_count = outgoing.isCut ? MOST_PARTS : (size_t)message.part_count;
    int error = 0;
    // With descriptors, or a route, or an address of the sender's own.
    if (message.control_length > 0)
        error = EPERM;
    else if (!host_call_read(call, message.parts, parts, part_count * sizeof *parts))
        error = EFAULT;
    else if (message.name != 0)
        error = [self copy:&outgoing.address at:message.name length:message.name_length of:call];
    for (size_t i = 0; error == 0 && i < part_count; i++) {
        size_t room = MOST_BYTES - outgoing.count;
        size_t length = parts[i].length < room ? (size_t)parts[i].length : room;
        outgoing.isCut |= parts[i].length > length;
        if (!host_call_read(call, parts[i].base, _bytes + outgoing.count, length))
            error = EFAULT;
        outgoing.count += length;
    }
    if (error != 0)
        [self answer:call value:0 error:error];
    else
        [self send:&outgoing of:call];
}

@end
