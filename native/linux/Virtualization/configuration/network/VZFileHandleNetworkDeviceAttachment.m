// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import <dispatch/descriptor.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { leastUnit = 1500, greatestUnit = 65535, ethernetHeaderLength = 14 };

static int intOption(int descriptor, int option) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

@implementation VZFileHandleNetworkDeviceAttachment

- (instancetype)initWithFileHandle:(NSFileHandle *)fileHandle {
    if (!fileHandle || fcntl(fileHandle.fileDescriptor, F_GETFD) < 0) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: the file handle has no open file descriptor", [self class],
                           NSStringFromSelector(_cmd)];
    }
    if ((self = [super initForSubclass])) {
        _fileHandle = fileHandle;
        _maximumTransmissionUnit = leastUnit;
    }
    return self;
}

- (NSInteger)frameCapacity {
    return self.maximumTransmissionUnit;
}

// Apple's documentation expects it of every socket. One whose sizes nobody has set is taken as the system makes them:
// both the same, which between two sockets of one host does no harm, since Linux counts what is under way as its
// sender's.
static BOOL isReceivingEnough(int sending, int receiving) {
    if (receiving >= 2 * sending) {
        return YES;
    }
    int fresh = descriptor_above_standard(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (fresh < 0) {
        return NO;
    }
    BOOL isLeftAsItWas = sending == intOption(fresh, SO_SNDBUF) && receiving == intOption(fresh, SO_RCVBUF);
    close(fresh);
    return isLeftAsItWas;
}

// What is wrong with the handle; nil if nothing is. errorNumber is 0 if no system call failed.
- (NSString *)wrongWithHandle:(int *)errorNumber {
    int descriptor = self.fileHandle.fileDescriptor;
    int type = intOption(descriptor, SO_TYPE);
    *errorNumber = 0;
    if (type < 0) {
        int number = errno;
        if (number == ENOTSOCK) {
            return [NSString stringWithFormat:@"has descriptor %d, which is not a socket's", descriptor];
        }
        *errorNumber = number;
        return [NSString
            stringWithFormat:@"has descriptor %d, which is not open: %@", descriptor, VZSystemCallErrorText(number)];
    }
    if (type != SOCK_DGRAM) {
        return
            [NSString stringWithFormat:@"has descriptor %d, which is a socket but not a datagram socket", descriptor];
    }
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (getpeername(descriptor, (struct sockaddr *)&peer, &length) != 0) {
        return [NSString stringWithFormat:@"has descriptor %d, a datagram socket that is not connected", descriptor];
    }
    // Linux counts a buffer twice, for itself.
    int sending = intOption(descriptor, SO_SNDBUF);
    int receiving = intOption(descriptor, SO_RCVBUF);
    int room = sending / 2;
    if (room < self.maximumTransmissionUnit + ethernetHeaderLength) {
        return [NSString
            stringWithFormat:@"has descriptor %d, a socket whose send buffer of %d bytes does not hold a frame "
                             @"of maximumTransmissionUnit %ld",
                             descriptor, room, (long)self.maximumTransmissionUnit];
    }
    if (!isReceivingEnough(sending, receiving)) {
        return [NSString
            stringWithFormat:@"has descriptor %d, a socket whose receive buffer of %d bytes is less than twice "
                             @"its send buffer of %d bytes",
                             descriptor, receiving / 2, room];
    }
    return nil;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    if (self.maximumTransmissionUnit < leastUnit || self.maximumTransmissionUnit > greatestUnit) {
        return VZRefuse(
            error, VZInvalidConfigurationError(
                       [NSString stringWithFormat:@"%@.maximumTransmissionUnit is %ld.", property,
                                                  (long)self.maximumTransmissionUnit],
                       [NSString stringWithFormat:@"Set it to a number from %d to %d.", leastUnit, greatestUnit], nil));
    }
    int errorNumber = 0;
    NSString *reason = [self wrongWithHandle:&errorNumber];
    if (!reason) {
        return YES;
    }
    return VZRefuse(
        error,
        VZInvalidConfigurationError(
            [NSString stringWithFormat:@"%@.fileHandle %@.", property, reason],
            @"Give one end of a pair of datagram sockets, or a datagram socket that is connected, with a send buffer "
            @"(SO_SNDBUF) larger than a frame and a receive buffer (SO_RCVBUF) of at least twice that.",
            errorNumber ? VZSystemCallError(errorNumber, nil) : nil));
}

@end
