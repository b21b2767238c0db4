// SPDX-License-Identifier: Apache-2.0
#import "QEMUPortConnection.h"
#import "../VZErrors+Private.h"
#import <arpa/inet.h>
#import <errno.h>
#import <netinet/in.h>
#import <stdatomic.h>
#import <sys/socket.h>
#import <unistd.h>

// QEMU says how far a connection has come when it is asked. A guest answers in a millisecond or two, or is not up yet.
enum { FIRST_LOOK_MICROSECONDS = 500, SLOWEST_LOOK_MICROSECONDS = 50 * 1000, LONGEST_SECONDS = 60 };

typedef void (^Completion)(int descriptor, NSError *_Nullable error);

/// One line of `info usernet`: a protocol with its state in brackets, a descriptor, the address and port on the host's side,
/// those on the guest's, and two lengths.
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
        line.hostPort = (unsigned)words[3].intValue;
        [lines addObject:line];
    }
    return lines;
}

/// Another address of the loopback interface for each connection: by it one forwarding is told from those of other calls.
static uint32_t next_address(void) {
    enum { FIRST = 0x7f400001, COUNT = 1 << 20 };
    static _Atomic(uint32_t) number;
    return FIRST + atomic_fetch_add(&number, 1) % COUNT;
}

@interface QEMUPortConnection : NSObject
@end

@implementation QEMUPortConnection {
    __weak QEMUInstance *_instance;
    NSString *_network;
    uint16_t _port;
    Completion _completion;
    int _socket;
    struct in_addr _address; // of the forwarding
    NSString *_addressText;
    unsigned _forwardedPort; // on the host; 0 while there is no forwarding
    useconds_t _pause;
    dispatch_time_t _deadline;
}

- (instancetype)initWithInstance:(QEMUInstance *)instance
                         network:(NSString *)network
                            port:(uint16_t)port
                      completion:(Completion)completion {
    self = [super init];
    if (self == nil)
        return nil;
    _instance = instance;
    _network = network;
    _port = port;
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
    if (_forwardedPort != 0)
        [_instance execute:@"human-monitor-command"
                 arguments:@{
                     @"command-line" : [NSString stringWithFormat:@"hostfwd_remove %@ tcp:%@:%u", _network,
                                                                  _addressText, _forwardedPort]
                 }
                completion:^(id result, NSError *refusal) {
                    (void)result;
                    (void)refusal; // it goes with the network
                }];
    completion(descriptor, error);
}

- (void)failWithReason:(NSString *)reason number:(int)number {
    [self finishWithError:VZErrorWithReason(VZErrorNetworkError, @"The guest could not be connected to.", reason,
                                            @"See to it that the guest has its address from DHCP and that something there "
                                            @"listens.",
                                            number != 0 ? VZSystemCallError(number, nil) : nil)];
}

- (void)begin {
    NSString *command =
        [NSString stringWithFormat:@"hostfwd_add %@ tcp:%@:0-:%u", _network, _addressText, (unsigned)_port];
    [self execute:command
             then:^(NSString *output) {
                 if (output.length > 0)
                     [self failWithReason:[NSString stringWithFormat:@"QEMU says: %@", output] number:0];
                 else
                     [self findForwarding];
             }];
}

- (void)findForwarding {
    [self execute:@"info usernet"
             then:^(NSString *output) {
                 for (QEMUNetworkLine *line in parse_lines(output))
                     if ([line.state isEqualToString:@"HOST_FORWARD"] && [line.hostAddress isEqualToString:self->_addressText])
                         self->_forwardedPort = line.hostPort;
                 if (self->_forwardedPort == 0)
                     [self failWithReason:@"QEMU does not tell of the forwarding that it was asked for." number:0];
                 else
                     [self connect];
             }];
}

- (void)connect {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)_forwardedPort)};
    address.sin_addr = _address;
    _socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // On the loopback interface it is connected at once, to QEMU's queue of those who come.
    if (_socket < 0 || connect(_socket, (struct sockaddr *)&address, sizeof address) != 0) {
        int number = errno;
        [self failWithReason:[NSString stringWithFormat:@"There is no socket for it: %@.", VZSystemCallErrorText(number)]
                      number:number];
        return;
    }
    [self look];
}

/// Whether the guest has answered: QEMU has a connection that came by this address, and says how far it has come. Where the
/// guest has said all already, and hung up, that is so, too.
- (void)look {
    [self execute:@"info usernet"
             then:^(NSString *output) {
                 BOOL established = NO;
                 for (QEMUNetworkLine *line in parse_lines(output))
                     if ([line.hostAddress isEqualToString:self->_addressText] &&
                         [@[ @"ESTABLISHED", @"CLOSE_WAIT" ] containsObject:line.state])
                         established = YES;
                 if (established)
                     [self finishWithError:nil];
                 else
                     [self lookAgain];
             }];
}

- (void)lookAgain {
    // QEMU hangs up where the guest refuses, or gave no answer for long.
    char byte;
    ssize_t count = recv(_socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    int number = count < 0 ? errno : 0;
    if (count > 0) {
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

void QEMUConnectToPort(QEMUInstance *instance, NSString *network, uint16_t port, Completion completion) {
    [[[QEMUPortConnection alloc] initWithInstance:instance network:network port:port completion:completion] begin];
}
