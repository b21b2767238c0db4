// SPDX-License-Identifier: Apache-2.0
// System calls of a QEMU that a guest took over: any numbers, over any memory. What this process then does for it is
// looked at again here, by words of its own.
#import "fuzz.h"
#import "host/HostAddresses.h"
#import "host/HostSupervision.h"
#import "host/HostSupervisor.h"
#import <arpa/inet.h>
#import <errno.h>
#import <fcntl.h>
#import <stdatomic.h>
#import <stddef.h>
#import <string.h>
#import <sys/eventfd.h>
#import <sys/socket.h>
#import <sys/syscall.h>
#import <sys/un.h>
#import <unistd.h>

@interface HostSupervisor (Fuzzing)
- (void)take:(const host_call *)call;
@end

enum {
    REACHES_INTERNET = 1,
    REACHES_HOST = 2,
    HAS_SERVER = 4,
    REACHES_LOCAL_SOCKETS = 8,
    SETTINGS = 16, // so many combinations of the above
    OF_FIRST_THREAD = 16,
    OF_STREAM = 32,
    IS_GONE = 64,
    HAS_FILE = 128,
    SERVER_PORT = 10809,
};

static const char server_path[] = "/run/server";
static const char file_path[] = "/proc/self/fd/7";

/// What is made up: the program's memory, and what became of its call.
static struct {
    const uint8_t *memory;
    size_t length;
    uint8_t flags, outcome;
    _Atomic(int) answers;
} program;

// Of the socket that the call is about; -1 while there is none.
static _Atomic(int) used_socket = -1;
// What it is given for its path.
static HostDescriptor *file;

#pragma mark In place of the kernel

int __wrap_host_listener_take(int socket);
bool __wrap_host_call_read(const host_call *call, uint64_t address, void *buffer, size_t length);
bool __wrap_host_call_write(const host_call *call, uint64_t address, const void *buffer, size_t length);
bool __wrap_host_call_waits(int listener, const host_call *call);
int __wrap_host_call_descriptor(int pidfd, int number);
long __wrap_host_call_descriptor_count(const host_call *call);
void __wrap_host_call_answer(int listener, const host_call *call, int64_t value, int error);
void __wrap_host_call_allow(int listener, const host_call *call);
void __wrap_host_call_give(int listener, const host_call *call, int descriptor);
int __real_connect(int socket, const struct sockaddr *address, socklen_t length);
int __wrap_connect(int socket, const struct sockaddr *address, socklen_t length);
int __real_bind(int socket, const struct sockaddr *address, socklen_t length);
int __wrap_bind(int socket, const struct sockaddr *address, socklen_t length);
ssize_t __real_sendto(int socket, const void *bytes, size_t length, int flags, const struct sockaddr *address,
                      socklen_t address_length);
ssize_t __wrap_sendto(int socket, const void *bytes, size_t length, int flags, const struct sockaddr *address,
                      socklen_t address_length);

int __wrap_host_listener_take(int socket) {
    (void)socket;
    return eventfd(0, EFD_CLOEXEC); // nothing ever comes
}

bool __wrap_host_call_read(const host_call *call, uint64_t address, void *buffer, size_t length) {
    (void)call;
    if (length == 0)
        return true;
    if (address > program.length || length > program.length - address)
        return false;
    memcpy(buffer, program.memory + address, length);
    return true;
}

bool __wrap_host_call_write(const host_call *call, uint64_t address, const void *buffer, size_t length) {
    (void)call;
    (void)!memchr(buffer, -1, length);
    return address <= program.length && length <= program.length - address;
}

bool __wrap_host_call_waits(int listener, const host_call *call) {
    (void)listener;
    (void)call;
    return (program.flags & IS_GONE) == 0;
}

int __wrap_host_call_descriptor(int pidfd, int number) {
    (void)pidfd;
    if (number < 0) {
        errno = EBADF;
        return -1;
    }
    BOOL is_stream = (program.flags & OF_STREAM) != 0;
    int made =
        socket(AF_INET, (is_stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | (number % 2 ? SOCK_NONBLOCK : 0), 0);
    HOLD(made >= 0);
    used_socket = made;
    return made;
}

long __wrap_host_call_descriptor_count(const host_call *call) {
    (void)call;
    return program.outcome;
}

static void answered(void) {
    HOLD(atomic_fetch_add(&program.answers, 1) == 0);
}

void __wrap_host_call_answer(int listener, const host_call *call, int64_t value, int error) {
    (void)listener;
    (void)call;
    HOLD(error >= 0 && error < 4096 && value <= 1 << 16);
    answered();
}

void __wrap_host_call_allow(int listener, const host_call *call) {
    (void)listener;
    // Nothing whose arguments lie in memory, which could change after it was looked at, but what it may do by itself.
    HOLD(call->number == SYS_socket || call->number == SYS_openat);
    answered();
}

void __wrap_host_call_give(int listener, const host_call *call, int descriptor) {
    (void)listener;
    uint64_t address = call->arguments[1];
    HOLD((program.flags & HAS_FILE) != 0 && call->number == SYS_openat && descriptor == file.number);
    HOLD(address <= program.length && program.length - address >= sizeof file_path &&
         memcmp(program.memory + address, file_path, sizeof file_path) == 0);
    answered();
}

#pragma mark What may be reached

static BOOL is_of_this_host(const struct sockaddr *address) {
    const uint8_t *four = NULL;
    if (address->sa_family == AF_INET) {
        four = (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
    } else {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_LOOPBACK(six) || IN6_IS_ADDR_UNSPECIFIED(six) || IN6_IS_ADDR_MULTICAST(six))
            return YES;
        if (IN6_IS_ADDR_V4MAPPED(six))
            four = six->s6_addr + 12;
    }
    return four != NULL && (four[0] == 127 || four[0] == 0 || four[0] >= 224);
}

/// Whether that is a place for what was allowed. A name server is one, and so is a server at its port.
static BOOL is_allowed(const struct sockaddr *address, socklen_t length, BOOL is_stream) {
    host_address copy = {0};
    BOOL is_first = (program.flags & OF_FIRST_THREAD) != 0;
    if (address->sa_family == AF_UNIX) {
        const char *path = ((const struct sockaddr_un *)address)->sun_path;
        return (program.flags & REACHES_LOCAL_SOCKETS) != 0 ||
               (length > offsetof(struct sockaddr_un, sun_path) && strcmp(path, server_path) == 0 &&
                (program.flags & HAS_SERVER) != 0);
    }
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return address->sa_family == AF_UNSPEC; // to nothing
    memcpy(&copy, address, MIN(length, sizeof copy));
    unsigned port = ntohs(address->sa_family == AF_INET ? copy.four.sin_port : copy.six.sin6_port);
    if ((program.flags & HAS_SERVER) != 0 && !is_first && is_stream && port == SERVER_PORT)
        return YES;
    if ((program.flags & REACHES_INTERNET) == 0 && (is_first || (program.flags & HAS_SERVER) == 0))
        return NO;
    if ((program.flags & REACHES_HOST) != 0 || (port == 53 && host_address_is_name_server(&copy)))
        return YES;
    return (program.flags & REACHES_INTERNET) != 0 && !is_of_this_host(address);
}

/// A connection to nobody, who has said something, or gone, by the port: no program of this host is reached.
static int connect_to_nobody(int socket, const struct sockaddr *address) {
    static int other = -1;
    int ends[2];
    HOLD(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 && dup2(ends[0], socket) == socket);
    close(ends[0]);
    if (other >= 0)
        close(other);
    other = ends[1];
    unsigned kind = ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port) % 3;
    if (kind == 1)
        HOLD(write(other, "!", 1) == 1);
    if (kind == 2)
        shutdown(other, SHUT_RDWR);
    return 0;
}

int __wrap_connect(int socket, const struct sockaddr *address, socklen_t length) {
    static const int outcomes[] = {0, ECONNREFUSED, EINPROGRESS, EISCONN};
    if (socket != used_socket && address->sa_family == AF_INET)
        return connect_to_nobody(socket, address);
    if (socket != used_socket)
        return __real_connect(socket, address, length);
    HOLD(is_allowed(address, length, (program.flags & OF_STREAM) != 0));
    errno = outcomes[program.outcome % 4];
    return errno == 0 ? 0 : -1;
}

int __wrap_bind(int socket, const struct sockaddr *address, socklen_t length) {
    if (socket != used_socket)
        return __real_bind(socket, address, length);
    host_address copy = {0};
    HOLD(address->sa_family == AF_INET || address->sa_family == AF_INET6);
    memcpy(&copy, address, MIN(length, sizeof copy));
    HOLD(host_address_is_loopback(&copy));
    return 0;
}

ssize_t __wrap_sendto(int socket, const void *bytes, size_t length, int flags, const struct sockaddr *address,
                      socklen_t address_length) {
    if (socket != used_socket)
        return __real_sendto(socket, bytes, length, flags, address, address_length);
    // It never waits, and never connects.
    HOLD(flags == (MSG_DONTWAIT | MSG_NOSIGNAL));
    HOLD(address == NULL || ((address->sa_family == AF_INET || address->sa_family == AF_INET6) &&
                             is_allowed(address, address_length, (program.flags & OF_STREAM) != 0)));
    (void)!memchr(bytes, -1, length);
    return (ssize_t)length;
}

#pragma mark Calls

static HostSupervisor *supervisor_with(uint8_t settings) {
    static HostSupervisor *supervisors[SETTINGS];
    if (supervisors[settings] != nil)
        return supervisors[settings];
    NSError *error = nil;
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    HostSupervisor *supervisor = [[HostSupervisor alloc] initWithSocket:nothing
                                                                process:nothing
                                                        descriptorLimit:100
                                                                  error:&error];
    HOLD(supervisor != nil);
    close(nothing);
    [supervisor begin];
    [supervisor setReachesInternet:(settings & REACHES_INTERNET) != 0 host:(settings & REACHES_HOST) != 0 ofNetwork:0];
    if ((settings & HAS_SERVER) != 0) {
        [supervisor allowServerAtPort:SERVER_PORT];
        [supervisor allowServerAtPath:[NSString stringWithUTF8String:server_path] inFolder:nil name:nil];
    }
    if ((settings & REACHES_LOCAL_SOCKETS) != 0)
        [supervisor allowLocalSockets];
    supervisors[settings] = supervisor;
    return supervisor;
}

/// Two bytes of each argument are in the input: an address of the memory that follows, a length, or a number that is
/// as large as there are.
void read_calls(const uint8_t *bytes, size_t length) {
    enum { HEAD = 3 + 6 * 2 };
    static const int numbers[] = {SYS_socket, SYS_connect, SYS_bind, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_openat};
    if (length < HEAD)
        return;
    host_call call = {.identifier = 1, .number = numbers[bytes[1] % (sizeof numbers / sizeof *numbers)]};
    program.flags = bytes[0];
    program.outcome = bytes[2];
    program.memory = bytes + HEAD;
    program.length = length - HEAD;
    program.answers = 0;
    for (int i = 0; i < 6; i++) {
        uint64_t number = bytes[3 + 2 * i] | (uint64_t)bytes[4 + 2 * i] << 8;
        call.arguments[i] = number < 0xfff0 ? number : (uint64_t)(int64_t)(int16_t)number;
    }
    // That of a program that is none has the number -1.
    call.thread = (program.flags & OF_FIRST_THREAD) != 0 ? -1 : 1;
    used_socket = -1;
    HostSupervisor *supervisor = supervisor_with(bytes[0] % SETTINGS);
    // Once; what is left of the call before is nobody's.
    if (file == nil)
        file = [HostDescriptor openPath:@"/dev/null" flags:O_RDONLY error:NULL];
    HOLD(file != nil);
    BOOL has_file = (program.flags & HAS_FILE) != 0;
    [supervisor giveDescriptor:has_file ? file : nil forPath:[NSString stringWithUTF8String:file_path]];
    [supervisor take:&call];
    if ((program.flags & IS_GONE) != 0)
        return;
    // A connection that is waited for is answered by a queue.
    for (int i = 0; i < 100000 && program.answers == 0; i++)
        usleep(100);
    HOLD(program.answers == 1);
}
