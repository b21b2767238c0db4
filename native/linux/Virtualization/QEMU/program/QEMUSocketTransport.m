// SPDX-License-Identifier: Apache-2.0
#import "QEMUSocketTransport.h"
#import "support/VZErrors+Private.h"
#import <dispatch/descriptor.h>
#import <errno.h>
#import <fcntl.h>
#import <linux/vhost.h>
#import <sys/ioctl.h>
#import <sys/random.h>
#import <sys/socket.h>
#import <linux/vm_sockets.h>
#import <unistd.h>

static NSString *const Device = @"/dev/vhost-vsock";

enum {
    // The numbers up to it are spoken for, and those that others count up from 3 are few: one of a great range is free.
    FIRST_GUEST = 1 << 16,
    GUEST_COUNT = 1 << 30,
    ATTEMPTS = 64,
    BACKLOG = 128,
};

static QEMUSocketTransport *current;

@implementation QEMUSocketTransport

+ (QEMUSocketTransport *)current {
    @synchronized(self) {
        current = current ?: [[QEMUSocketTransport alloc] init];
        return current;
    }
}

+ (void)setCurrent:(QEMUSocketTransport *)transport {
    @synchronized(self) {
        current = transport;
    }
}

static NSError *unsupported(NSString *reason, NSString *suggestion, int number, NSString *_Nullable path) {
    return VZErrorWithReason(VZErrorNotSupported, @"Guests cannot have sockets to this host.", reason, suggestion,
                             VZSystemCallError(number, path));
}

- (NSError *)missingError {
    int device = descriptor_above_standard(open(Device.fileSystemRepresentation, O_RDWR | O_CLOEXEC));
    int number = errno;
    if (device >= 0)
        close(device);
    else
        return unsupported(
            [NSString stringWithFormat:@"%@ cannot be opened: %@.", Device, VZSystemCallErrorText(number)],
            number == EACCES || number == EPERM
                ? @"Give this user the right to read and write it; on most systems the group kvm has it."
                : @"Load the kernel's module for it: `modprobe vhost_vsock`. A kernel that was built without it "
                  @"(CONFIG_VHOST_VSOCK) has none.",
            number, Device);
    int probe = descriptor_above_standard(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    number = errno;
    if (probe < 0)
        return unsupported([NSString stringWithFormat:@"There are no sockets of the family AF_VSOCK: %@.",
                                                      VZSystemCallErrorText(number)],
                           @"Load the kernel's module for them: `modprobe vhost_vsock`.", number, nil);
    close(probe);
    return nil;
}

static id refused(int number, NSError **error) {
    VZRefuse(error, VZSystemCallError(number, nil));
    return nil;
}

- (HostDescriptor *)deviceForNewGuest:(uint32_t *)guest error:(NSError **)error {
    HostDescriptor *device = [HostDescriptor openPath:Device flags:O_RDWR error:error];
    if (device == nil)
        return nil;
    // The number is the guest's from here on, for as long as the descriptor is open anywhere.
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        uint32_t random = 0;
        while (getrandom(&random, sizeof random, 0) < 0 && errno == EINTR)
            continue;
        uint64_t number = FIRST_GUEST + random % GUEST_COUNT;
        if (ioctl(device.number, VHOST_VSOCK_SET_GUEST_CID, &number) == 0) {
            *guest = (uint32_t)number;
            return device;
        }
        if (errno != EADDRINUSE)
            break;
    }
    return refused(errno, error);
}

static int new_socket(void) {
    return descriptor_above_standard(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

- (HostDescriptor *)socketConnectingToGuest:(uint32_t)guest port:(uint32_t)port error:(NSError **)error {
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = guest, .svm_port = port};
    int number = new_socket();
    if (number < 0)
        return refused(errno, error);
    HostDescriptor *descriptor = [[HostDescriptor alloc] initWithDescriptor:number];
    if (connect(number, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS)
        return descriptor;
    return refused(errno, error);
}

- (HostDescriptor *)socketListeningOnPort:(uint32_t)port error:(NSError **)error {
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
    int number = new_socket();
    if (number < 0)
        return refused(errno, error);
    HostDescriptor *descriptor = [[HostDescriptor alloc] initWithDescriptor:number];
    if (bind(number, (struct sockaddr *)&address, sizeof address) == 0 && listen(number, BACKLOG) == 0)
        return descriptor;
    return refused(errno, error);
}

- (int)acceptFrom:(HostDescriptor *)socket guest:(uint32_t *)guest port:(uint32_t *)port {
    struct sockaddr_vm address = {0};
    socklen_t length = sizeof address;
    int descriptor =
        descriptor_above_standard(accept4(socket.number, (struct sockaddr *)&address, &length, SOCK_CLOEXEC));
    *guest = address.svm_cid;
    *port = address.svm_port;
    return descriptor;
}

- (uint32_t)portOfSocket:(int)descriptor {
    struct sockaddr_vm address = {0};
    socklen_t length = sizeof address;
    return getsockname(descriptor, (struct sockaddr *)&address, &length) == 0 ? address.svm_port : 0;
}

@end
