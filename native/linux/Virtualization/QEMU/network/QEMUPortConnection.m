// SPDX-License-Identifier: Apache-2.0
#import "QEMUPortConnection.h"
#import "support/VZErrors+Private.h"
#import "QEMU/process/QEMUUser.h"
#import "host/HostForwardedPeers.h"
#import <arpa/inet.h>
#import <dispatch/descriptor.h>
#import <errno.h>
#import <netinet/in.h>
#import <shown_text.h>
#import <stdatomic.h>
#import <sys/random.h>
#import <sys/socket.h>
#import <unistd.h>

// QEMU says how far a connection has come when it is asked. A guest answers in a millisecond or two, or is not up yet.
enum { FIRST_LOOK_MICROSECONDS = 500, SLOWEST_LOOK_MICROSECONDS = 50 * 1000, LONGEST_SECONDS = 60 };

typedef void (^Completion)(int descriptor, NSError *_Nullable error);
typedef BOOL (^Question)(void);

/// One line of `info usernet`: a protocol with its state in brackets, a descriptor, the address and port on the host's
/// side, those on the guest's, and two lengths.
@interface QEMUNetworkLine : NSObject
@property NSString *state;
@property NSString *hostAddress;
@property unsigned hostPort;
@end

@implementation QEMUNetworkLine
@end

static NSArray<QEMUNetworkLine *> *parse_lines(NSString *output) {
    NSMutableArray<QEMUNetworkLine *> *lines = [NSMutableArray array];
    for (NSString *text in [output componentsSeparatedByString:@"\n"]) {
        NSMutableArray<NSString *> *words = [NSMutableArray array];
        for (NSString *word in [text componentsSeparatedByCharactersInSet:NSCharacterSet.whitespaceCharacterSet])
            if (word.length > 0)
                [words addObject:word];
        if (words.count < 6 || ![words[0] hasPrefix:@"TCP["] || ![words[0] hasSuffix:@"]"])
            continue;
        QEMUNetworkLine *line = [[QEMUNetworkLine alloc] init];
        line.state = [words[0] substringWithRange:NSMakeRange(4, words[0].length - 5)];
        line.hostAddress = words[2];
        NSInteger port = words[3].integerValue;
        line.hostPort = port > 0 && port <= UINT16_MAX ? (unsigned)port : 0;
        [lines addObject:line];
    }
    return lines;
}

/// Another address of the loopback interface for each connection: by it one forwarding is told from those of other
/// calls. Where they begin is not known before: who wants to be there first has a million to choose from.
static uint32_t next_address(void) {
    enum { FIRST = 0x7f400001, COUNT = 1 << 20 };
    static _Atomic(uint32_t) number;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        uint32_t start = 0;
        if (getrandom(&start, sizeof start, GRND_NONBLOCK) == (ssize_t)sizeof start)
            atomic_store(&number, start);
    });
    return FIRST + atomic_fetch_add(&number, 1) % COUNT;
}

@interface QEMUPortConnection : NSObject
@end

@implementation QEMUPortConnection {
    __weak QEMUInstance *_instance;
    NSString *_network;
    uint16_t _port;
    Question _isWanted;
    Completion _completion;
    int _socket;
    struct in_addr _address; // of the forwarding
    NSString *_addressText;
    unsigned _forwardedPort; // on the host
    BOOL _isEstablished;     // a connection through it
    BOOL _isForwarding;      // anybody on this host can go through it as long as it stands
    struct sockaddr_in _own; // of the socket
    useconds_t _pause;
    dispatch_time_t _deadline;
}

- (instancetype)initWithInstance:(QEMUInstance *)instance
                         network:(NSString *)network
                            port:(uint16_t)port
                        isWanted:(Question)isWanted
                      completion:(Completion)completion {
    self = [super init];
    if (self == nil)
        return nil;
    _instance = instance;
    _network = network;
    _port = port;
    _isWanted = isWanted;
    _completion = completion;
    _socket = -1;
    _address.s_addr = htonl(next_address());
    _addressText = [NSString stringWithUTF8String:inet_ntoa(_address)];
    _pause = FIRST_LOOK_MICROSECONDS;
    _deadline = dispatch_time(DISPATCH_TIME_NOW, LONGEST_SECONDS * (int64_t)NSEC_PER_SEC);
    return self;
}

- (void)dealloc {
    if (_socket >= 0)
        close(_socket);
}

/// A command of QEMU's human monitor, which alone has these; nothing in one is a user's but a number.
- (void)execute:(NSString *)command then:(void (^)(NSString *output))next {
    QEMUInstance *instance = _instance;
    if (!instance.isAnswering) {
        [self failWithReason:@"The virtual machine has ended." number:0];
        return;
    }
    [instance execute:@"human-monitor-command"
            arguments:@{@"command-line" : command}
           completion:^(id result, NSError *refusal) {
               // The block keeps this object until it is called.
               if (refusal != nil)
                   [self failWithReason:refusal.localizedFailureReason ?: refusal.localizedDescription number:0];
               else
                   next([result isKindOfClass:[NSString class]] ? result : @"");
           }];
}

- (NSString *)removal {
    return [NSString stringWithFormat:@"hostfwd_remove %@ tcp:%@:%u", _network, _addressText, _forwardedPort];
}

- (void)finishWithError:(NSError *)error {
    Completion completion = _completion;
    if (completion == nil)
        return;
    _completion = nil;
    int descriptor = -1;
    if (error == nil) {
        descriptor = _socket;
        _socket = -1;
    }
    if (_isForwarding)
        [_instance execute:@"human-monitor-command"
                 arguments:@{@"command-line" : self.removal}
                completion:^(id result, NSError *refusal) {
                    (void)result;
                    (void)refusal; // it goes with the network
                }];
    _isForwarding = NO;
    completion(descriptor, error);
}

- (void)failWithReason:(NSString *)reason number:(int)number {
    [self finishWithError:VZErrorWithReason(
                              VZErrorNetworkError, @"The guest could not be connected to.", reason,
                              @"See to it that the guest has its address from DHCP and that something there "
                              @"listens.",
                              number != 0 ? VZSystemCallError(number, nil) : nil)];
}

/// Asked before each step but the one that finds the forwarding, which is to be taken away: a program that tries until
/// its guest is up has the next connection under way already.
- (BOOL)isGivenUp {
    if (_isWanted())
        return NO;
    [self failWithReason:@"Nobody waited for it any more." number:ECANCELED];
    return YES;
}

- (void)begin {
    if ([self isGivenUp])
        return;
    NSString *command =
        [NSString stringWithFormat:@"hostfwd_add %@ tcp:%@:0-:%u", _network, _addressText, (unsigned)_port];
    [self execute:command
             then:^(NSString *output) {
                 if (output.length > 0)
                     [self failWithReason:[NSString stringWithFormat:@"QEMU says: %@", applevz_shown_words(output)]
                                   number:0];
                 else
                     [self findForwarding];
             }];
}

- (void)findForwarding {
    [self execute:@"info usernet"
             then:^(NSString *output) {
                 for (QEMUNetworkLine *line in parse_lines(output))
                     if ([line.state isEqualToString:@"HOST_FORWARD"] &&
                         [line.hostAddress isEqualToString:self->_addressText])
                         self->_forwardedPort = line.hostPort;
                 self->_isForwarding = self->_forwardedPort != 0;
                 if (!self->_isForwarding)
                     [self failWithReason:@"QEMU does not tell of the forwarding that it was asked for." number:0];
                 else
                     [self connect];
             }];
}

- (struct sockaddr_in)forwardedAddress {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)_forwardedPort)};
    address.sin_addr = _address;
    return address;
}

- (void)connect {
    if ([self isGivenUp])
        return;
    struct sockaddr_in address = [self forwardedAddress];
    socklen_t length = sizeof _own;
    _socket = descriptor_above_standard(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // On the loopback interface it is connected at once, to QEMU's queue of those who come.
    if (_socket < 0 || connect(_socket, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(_socket, (struct sockaddr *)&_own, &length) != 0) {
        int number = errno;
        [self
            failWithReason:[NSString stringWithFormat:@"There is no socket for it: %@.", VZSystemCallErrorText(number)]
                    number:number];
        return;
    }
    [self look];
}

/// Who has come through the forwarding. NO where that has failed the connection.
- (BOOL)findPeers:(host_forwarded_peers *)peers {
    int failure = host_find_forwarded_peers([self forwardedAddress], _own, peers);
    if (failure != 0)
        [self failWithReason:
                  [NSString stringWithFormat:@"Who was connected to it cannot be told, since /proc/net/tcp cannot be "
                                             @"read: %@.",
                                             VZSystemCallErrorText(failure)]
                      number:failure];
    return failure == 0;
}

/// QEMU takes the first who come; a user of this host who sees the forwarding can be among them. So it goes as soon as
/// this connection is through, and then it is known who came.
- (void)closeForwarding {
    [self execute:self.removal
             then:^(NSString *output) {
                 (void)output;
                 self->_isForwarding = NO;
                 host_forwarded_peers peers;
                 if (![self findPeers:&peers])
                     return;
                 if (peers.strangers > 0)
                     [self failWithReason:[self reasonOfStrangers:peers] number:ECONNABORTED];
                 else if (self->_isEstablished)
                     [self finishWithError:nil];
                 else
                     [self look];
             }];
}

- (NSString *)reasonOfStrangers:(host_forwarded_peers)peers {
    NSString *user =
        peers.stranger == (uid_t)-1 ? @"" : [NSString stringWithFormat:@", of the user %u,", (unsigned)peers.stranger];
    return [NSString
        stringWithFormat:@"Another process of this host%@ came through the way in to its port %u, which stood open "
                         @"for a moment, and is connected to the guest.",
                         user, (unsigned)_port];
}

/// Whether the guest has answered: QEMU has a connection that came by this address, and says how far it has come. Where
/// the guest has said all already, and hung up, that is so, too.
- (void)look {
    if ([self isGivenUp])
        return;
    [self execute:@"info usernet"
             then:^(NSString *output) {
                 // Whose it is, is known when the forwarding has gone.
                 for (QEMUNetworkLine *line in parse_lines(output))
                     if ([line.hostAddress isEqualToString:self->_addressText] &&
                         [@[ @"ESTABLISHED", @"CLOSE_WAIT" ] containsObject:line.state])
                         self->_isEstablished = YES;
                 if (self->_isForwarding)
                     [self lookForPeers];
                 else if (self->_isEstablished)
                     [self finishWithError:nil];
                 else
                     [self lookAgain];
             }];
}

- (void)lookForPeers {
    host_forwarded_peers peers;
    if (![self findPeers:&peers])
        return;
    QEMUUser *user = _instance.commandLine.user;
    if (peers.has_ours && peers.accepting != (user != nil ? user.number : geteuid()))
        [self failWithReason:[NSString stringWithFormat:@"A process of the user %u answered in place of QEMU.",
                                                        (unsigned)peers.accepting]
                      number:ECONNABORTED];
    else if (peers.has_ours)
        [self closeForwarding];
    else
        [self lookAgain];
}

- (void)lookAgain {
    // QEMU hangs up where the guest refuses, or gave no answer for long.
    char byte;
    ssize_t count = recv(_socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    int number = count < 0 ? errno : 0;
    if (count > 0 && _isForwarding) {
        [self closeForwarding]; // a guest that has said all, and has hung up
    } else if (count > 0) {
        [self finishWithError:nil];
    } else if (count == 0 || (number != EAGAIN && number != EINTR)) {
        [self failWithReason:[NSString stringWithFormat:@"Its port %u refused the connection.", (unsigned)_port]
                      number:ECONNREFUSED];
    } else if (dispatch_time(DISPATCH_TIME_NOW, 0) > _deadline) {
        [self failWithReason:[NSString stringWithFormat:@"Its port %u did not answer within %d s.", (unsigned)_port,
                                                        LONGEST_SECONDS]
                      number:ETIMEDOUT];
    } else {
        dispatch_time_t next = dispatch_time(DISPATCH_TIME_NOW, (int64_t)_pause * (int64_t)NSEC_PER_USEC);
        _pause = MIN(2 * _pause, SLOWEST_LOOK_MICROSECONDS);
        dispatch_after(next, _instance.queue ?: dispatch_get_main_queue(), ^{
            [self look];
        });
    }
}

@end

void QEMUConnectToPort(QEMUInstance *instance, NSString *network, uint16_t port, Question isWanted,
                       Completion completion) {
    [[[QEMUPortConnection alloc] initWithInstance:instance
                                          network:network
                                             port:port
                                         isWanted:isWanted
                                       completion:completion] begin];
}
