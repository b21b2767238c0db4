// SPDX-License-Identifier: Apache-2.0
// Guests' sockets without the kernel's vhost_vsock: abstract Unix sockets, whose names have the guest's number and port
// in them. What the kernel's family itself does, and what QEMU makes of it, is not tested by what stands on this.
#import "QEMU/program/QEMUSocketTransport.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>

// The number of every machine's guest.
enum { UNIX_GUEST = 7 };

static inline struct sockaddr_un address_of(const char *kind, uint32_t number, uint32_t port, socklen_t *length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int count = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "applevz-%d-%s-%u-%u", getpid(), kind,
                         number, port);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)count);
    return address;
}

static inline int unix_socket(const char *kind, uint32_t number, uint32_t port, int flags) {
    socklen_t length = 0;
    struct sockaddr_un address = address_of(kind, number, port, &length);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (bind(descriptor, (struct sockaddr *)&address, length) != 0) {
        int error = errno;
        close(descriptor);
        errno = error;
        return -1;
    }
    return descriptor;
}

static inline int connect_to(int descriptor, const char *kind, uint32_t number, uint32_t port) {
    socklen_t length = 0;
    struct sockaddr_un address = address_of(kind, number, port, &length);
    return connect(descriptor, (struct sockaddr *)&address, length);
}

static HostDescriptor *stalledEnd;

@interface UnixTransport : QEMUSocketTransport
@property BOOL isStalled; // what is about to be connected stays so
@end

@implementation UnixTransport

- (NSError *)missingError {
    return nil;
}

static inline HostDescriptor *adopted(int descriptor, NSError **error) {
    if (descriptor < 0) {
        *error = [NSError errorWithDomain:NSPOSIXErrorDomain code:errno userInfo:nil];
        return nil;
    }
    return [[HostDescriptor alloc] initWithDescriptor:descriptor];
}

- (HostDescriptor *)deviceForNewGuest:(uint32_t *)guest error:(NSError **)error {
    *guest = UNIX_GUEST;
    return [HostDescriptor openPath:@"/dev/null" flags:O_RDWR error:error];
}

- (HostDescriptor *)socketConnectingToGuest:(uint32_t)guest port:(uint32_t)port error:(NSError **)error {
    if (self.isStalled) {
        NSArray<HostDescriptor *> *pair = [HostDescriptor socketPairWithError:error];
        char bytes[4096] = {0};
        while (write(pair[0].number, bytes, sizeof bytes) > 0) {
        }
        stalledEnd = pair[1];
        return pair[0];
    }
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect_to(descriptor, "guest", guest, port) != 0) {
        int number = errno;
        close(descriptor);
        errno = number;
        descriptor = -1;
    }
    return adopted(descriptor, error);
}

- (HostDescriptor *)socketListeningOnPort:(uint32_t)port error:(NSError **)error {
    int descriptor = unix_socket("host", 0, port, SOCK_NONBLOCK);
    if (descriptor >= 0) {
        listen(descriptor, 16);
    }
    return adopted(descriptor, error);
}

- (int)acceptFrom:(HostDescriptor *)socket guest:(uint32_t *)guest port:(uint32_t *)port {
    struct sockaddr_un address = {0};
    socklen_t length = sizeof address;
    int descriptor = accept4(socket.number, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);
    *guest = *port = 0;
    if (descriptor >= 0) {
        sscanf(address.sun_path + 1, "applevz-%*d-caller-%u-%u", guest, port);
    }
    return descriptor;
}

- (uint32_t)portOfSocket:(int)descriptor {
    (void)descriptor;
    return 4711;
}

@end

// A guest: its number, and what it does.
static inline int guest_listens(uint32_t guest, uint32_t port) {
    int descriptor = unix_socket("guest", guest, port, 0);
    if (descriptor < 0 || listen(descriptor, 16) != 0) {
        perror("a guest's port");
        exit(2);
    }
    return descriptor;
}

static inline int guest_connects(uint32_t guest, uint32_t from, uint32_t to) {
    int descriptor = unix_socket("caller", guest, from, 0);
    if (descriptor < 0) {
        perror("a guest's socket");
        exit(2);
    }
    if (connect_to(descriptor, "host", 0, to) == 0) {
        return descriptor;
    }
    close(descriptor);
    return -1;
}
