// SPDX-License-Identifier: Apache-2.0
#import "leased_connection.h"
#import "boundary/descriptors.h"
#import "boundary/errors.h"
#import "dhcp_leases.h"
#import <Virtualization/Virtualization.h>
#import <arpa/inet.h>
#import <errno.h>
#import <fcntl.h>
#import <netinet/in.h>
#import <poll.h>
#import <string.h>
#import <sys/socket.h>
#import <unistd.h>

// From one look at a connection, or one attempt, to the next. A guest answers in a millisecond or two, or is not up
// yet.
enum {
    FIRST_PAUSE_MILLISECONDS = 1,
    LONGEST_PAUSE_MILLISECONDS = 50,
    ATTEMPT_SECONDS = 2,
    DEFAULT_PATIENCE_SECONDS = 60
};

@implementation AppleVZLeasedConnection {
    NSString *_leases;
    NSString *_macAddress;
    NSString *_address; // of the attempt under way
    uint16_t _port;
    int _socket;
    unsigned _pause;
    NSDate *_deadline;
    NSDate *_attemptEnd;
    int _reason;        // why the last attempt failed; 0 where there was no address
    int _leasesFailure; // why the leases cannot be read; 0 where they can, or are not there yet
}

- (instancetype)initWithLeases:(NSString *)path macAddress:(NSString *)macAddress port:(uint16_t)port {
    self = [super init];
    if (self == nil)
        return nil;
    _leases = path;
    _macAddress = macAddress;
    _port = port;
    _socket = -1;
    _patience = DEFAULT_PATIENCE_SECONDS;
    return self;
}

- (void)dealloc {
    [self closeSocket];
}

- (void)closeSocket {
    if (_socket >= 0)
        close(_socket);
    _socket = -1;
}

- (void)begin {
    _deadline = [NSDate dateWithTimeIntervalSinceNow:_patience];
    _pause = FIRST_PAUSE_MILLISECONDS;
    [self attempt];
}

- (void)finishWithError:(nullable NSError *)error connected:(BOOL)connected {
    void (^completion)(int, NSError *) = _completion;
    int descriptor = connected ? _socket : -1;
    if (connected)
        _socket = -1;
    [self closeSocket];
    // They may hold this object.
    _completion = nil;
    _later = nil;
    _isWanted = nil;
    if (completion != nil)
        completion(descriptor, error);
    else if (descriptor >= 0)
        close(descriptor);
}

- (void)failWithReason:(NSString *)reason number:(int)number {
    NSString *suggestion =
        @"See to it that the guest has its address from DHCP, asked for by its card's own address, and that "
        @"something there listens.";
    // What macOS 15 answers a program that may not look at the local network (Apple's TN3179), which a guest is on.
    if (_reason == EHOSTUNREACH)
        suggestion =
            [suggestion stringByAppendingString:@" On macOS 15 and later the program also needs the user's leave, in "
                                                @"System Settings, Privacy & Security, Local Network."];
    NSError *error = applevz_error_with_cause(VZErrorDomain, VZErrorNetworkError, APPLEVZ_OPENS_WITH_FAILURE,
                                              @"The guest could not be connected to.", reason, suggestion,
                                              applevz_posix_error(number));
    [self finishWithError:error connected:NO];
}

/// Calls the method after a pause, if there is time left and somebody waits.
- (void)continueWith:(void (^)(AppleVZLeasedConnection *connection))step {
    if (!_isWanted()) {
        [self finishWithError:nil connected:NO];
        return;
    }
    if (_deadline.timeIntervalSinceNow < 0) {
        NSString *what =
            _leasesFailure != 0
                ? [NSString stringWithFormat:@"%@ could not be read: %s", _leases, strerror(_leasesFailure)]
            : _address == nil
                ? [NSString stringWithFormat:@"%@ has no lease for %@", _leases, _macAddress]
                : [NSString stringWithFormat:@"Its port %u, at %@, did not answer%s%s", (unsigned)_port, _address,
                                             _reason != 0 ? ": " : "", _reason != 0 ? strerror(_reason) : ""];
        [self failWithReason:[NSString stringWithFormat:@"%@, within %g s.", what, _patience] number:ETIMEDOUT];
        return;
    }
    unsigned pause = _pause;
    _pause = MIN(2 * _pause, (unsigned)LONGEST_PAUSE_MILLISECONDS);
    // The blocks keep this object; where they are dropped, this goes, and its socket.
    _later(
        pause,
        ^{
            step(self);
        },
        ^(NSError *raised) {
            [self finishWithError:raised connected:NO];
        });
}

- (void)attemptLater {
    [self continueWith:^(AppleVZLeasedConnection *connection) {
        [connection attempt];
    }];
}

- (void)attempt {
    [self closeSocket];
    _attemptEnd = [NSDate dateWithTimeIntervalSinceNow:ATTEMPT_SECONDS];
    int number = 0;
    NSString *text = applevz_text_of_leases(_leases, &number);
    _leasesFailure = number != ENOENT ? number : 0;
    _address = text != nil ? applevz_leased_address(text, _macAddress) : nil;
    if (_address == nil) {
        _reason = 0;
        [self attemptLater];
        return;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(_port)};
    inet_pton(AF_INET, _address.UTF8String, &address.sin_addr);
    _socket = applevz_descriptor_above_standard(socket(AF_INET, SOCK_STREAM, 0));
    if (_socket < 0 || fcntl(_socket, F_SETFL, O_NONBLOCK) != 0) {
        number = errno;
        [self failWithReason:[NSString stringWithFormat:@"There is no socket for it: %s.", strerror(number)]
                      number:number];
        return;
    }
    if (connect(_socket, (struct sockaddr *)&address, sizeof address) == 0)
        [self judge:0];
    else if (errno == EINPROGRESS)
        [self look];
    else
        [self judge:errno];
}

- (void)look {
    struct pollfd descriptor = {.fd = _socket, .events = POLLOUT};
    if (poll(&descriptor, 1, 0) <= 0) {
        // By then there may be another lease, and a system waits longer and longer before it asks a silent host again.
        BOOL isLate = _attemptEnd.timeIntervalSinceNow < 0;
        [self continueWith:^(AppleVZLeasedConnection *connection) {
            if (isLate)
                [connection attempt];
            else
                [connection look];
        }];
        return;
    }
    int number = 0;
    socklen_t length = sizeof number;
    if (getsockopt(_socket, SOL_SOCKET, SO_ERROR, &number, &length) != 0)
        number = errno;
    [self judge:number];
}

- (void)judge:(int)number {
    _reason = number;
    switch (number) {
    case 0:
        // As a program expects of a new socket.
        fcntl(_socket, F_SETFL, 0);
        [self finishWithError:nil connected:YES];
        break;
    case ECONNREFUSED:
        [self failWithReason:[NSString stringWithFormat:@"Its port %u, at %@, refused the connection.", (unsigned)_port,
                                                        _address]
                      number:number];
        break;
    // A guest that has not come so far; or its lease is of an earlier time.
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ETIMEDOUT:
    case ECONNRESET:
        [self attemptLater];
        break;
    default:
        [self failWithReason:[NSString stringWithFormat:@"Its port %u, at %@, could not be connected to: %s.",
                                                        (unsigned)_port, _address, strerror(number)]
                      number:number];
    }
}

@end
