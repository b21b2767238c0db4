// SPDX-License-Identifier: Apache-2.0
#import "QMPConnection.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "support/VZLog+Private.h"
#import <errno.h>
#import <json_reader.h>
#import <json_values.h>
#import <shown_text.h>
#import <string.h>
#import <sys/ioctl.h>
#import <sys/socket.h>

// A line of QMP is a few kilobytes; what is longer than this is not from QEMU. What was read of one takes some thirty
// times as much. Not more than READ_SIZE is taken in a turn on the queue: of a QEMU that never stops, all else there
// has its turns, too.
enum { LONGEST_LINE = 1024 * 1024, READ_SIZE = 16 * 1024 };

static NSError *protocol_error(NSString *reason) {
    return VZErrorWithReason(VZErrorInternal, @"QEMU could not be controlled.", reason, nil, nil);
}

/// A command that waits for its answer.
@interface QMPCommand : NSObject
@property (copy) NSString *name;
@property (copy) QMPCompletion completion;
@property dispatch_time_t deadline;
@property NSTimeInterval seconds;
@end

@implementation QMPCommand
@end

@implementation QMPConnection {
    HostDescriptor *_socket;
    NSString *_name; // for the log
    dispatch_queue_t _queue;
    dispatch_source_t _readable;
    dispatch_source_t _writable;  // while there is something that the socket did not take
    dispatch_source_t _deadlines; // while there are commands
    NSMutableData *_received;
    NSMutableData *_unsent;
    uint64_t _sent;                                                  // bytes, since the beginning
    NSMutableDictionary<NSNumber *, HostDescriptor *> *_descriptors; // by the byte that each travels with
    NSMutableDictionary<NSNumber *, QMPCommand *> *_commands;
    uint64_t _lastIdentifier;
    BOOL _ended;
}

- (instancetype)initWithSocket:(HostDescriptor *)socket queue:(dispatch_queue_t)queue name:(NSString *)name {
    self = [super init];
    if (self != nil) {
        _socket = socket;
        _name = [name copy];
        _queue = queue;
        _received = [NSMutableData data];
        _unsent = [NSMutableData data];
        _descriptors = [NSMutableDictionary dictionary];
        _commands = [NSMutableDictionary dictionary];
    }
    return self;
}

- (void)dealloc {
    [self cancelSources];
}

/// A source for the socket. It holds the descriptor until its cancellation is through, so that no other file can get
/// the number while it is still watched.
- (dispatch_source_t)sourceOfType:(dispatch_source_type_t)type handler:(void (^)(QMPConnection *))handler {
    HostDescriptor *socket = _socket;
    __weak QMPConnection *weak_self = self;
    dispatch_source_t source = dispatch_source_create(type, (uintptr_t)socket.number, 0, _queue);
    dispatch_source_set_event_handler(source, ^{
        QMPConnection *strong_self = weak_self;
        if (strong_self != nil)
            handler(strong_self);
    });
    dispatch_source_set_cancel_handler(source, ^{
        (void)socket;
    });
    dispatch_resume(source);
    return source;
}

- (void)open {
    _readable = [self sourceOfType:DISPATCH_SOURCE_TYPE_READ
                           handler:^(QMPConnection *connection) {
                               [connection receive];
                           }];
}

- (void)cancelSources {
    if (_readable != nil)
        dispatch_source_cancel(_readable);
    if (_writable != nil)
        dispatch_source_cancel(_writable);
    if (_deadlines != nil)
        dispatch_source_cancel(_deadlines);
    _readable = _writable = _deadlines = nil;
}

#pragma mark Receiving

/// Takes in some of what has arrived. What it gives is the number of bytes; 0 where there is nothing now, or nothing
/// more.
- (size_t)receive {
    // A handler below may let go of the connection.
    QMPConnection *keep_alive = self;
    char bytes[READ_SIZE];
    ssize_t count;
    do
        count = recv(keep_alive->_socket.number, bytes, sizeof bytes, MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    int error = errno;
    if (count > 0) {
        NSUInteger searched = keep_alive->_received.length;
        [keep_alive->_received appendBytes:bytes length:(NSUInteger)count];
        [keep_alive takeLinesFrom:searched];
        return (size_t)count;
    }
    if (count < 0 && (error == EAGAIN || error == EWOULDBLOCK))
        return 0;
    // A process that ends with unread commands resets the connection rather than closing it.
    if (count < 0 && error == ECONNRESET)
        count = 0;
    // Half a line at the end is what a QEMU leaves that was killed as it wrote: how it ended says more.
    [keep_alive endWithError:count == 0 ? nil
                                        : protocol_error([NSString stringWithFormat:@"The connection broke: %@.",
                                                                                    VZSystemCallErrorText(error)])];
    return 0;
}

- (void)drain {
    QMPConnection *keep_alive = self;
    // What has arrived by now, and not what comes meanwhile, which may have no end.
    int arrived = 0;
    if (ioctl(_socket.number, FIONREAD, &arrived) != 0)
        arrived = 0;
    size_t count = 0, taken = 0;
    do {
        count = keep_alive->_ended ? 0 : [keep_alive receive];
        taken += count;
    } while (count > 0 && taken < (size_t)arrived);
}

static NSString *quote_of(const char *bytes, size_t length) {
    return VZQuoted([[NSString alloc] initWithBytes:bytes length:MIN(length, 200) encoding:NSISOLatin1StringEncoding]);
}

/// Takes the whole lines out of what was received. No newline stands before `searched`.
- (void)takeLinesFrom:(NSUInteger)searched {
    // Kept while its bytes are used. A handler may have more received.
    __attribute__((objc_precise_lifetime)) NSMutableData *received = _received;
    const char *bytes = received.bytes;
    NSUInteger length = received.length, taken = 0;
    const char *newline = memchr(bytes + searched, '\n', length - searched);
    if (newline != NULL) {
        const char *last = memrchr(bytes, '\n', length);
        _received = [NSMutableData dataWithBytes:last + 1 length:length - (NSUInteger)(last + 1 - bytes)];
    }
    while (newline != NULL && !_ended) {
        NSUInteger end = (NSUInteger)(newline - bytes);
        [self takeLine:bytes + taken length:end - taken];
        taken = end + 1;
        newline = memchr(bytes + taken, '\n', length - taken);
    }
    if (!_ended && _received.length > LONGEST_LINE)
        [self endWithError:protocol_error(@"It sent a line without an end.")];
}

/// Whatever comes of a line ends this connection, and with it the machine, rather than the process.
- (void)takeLine:(const char *)line length:(size_t)length {
    @autoreleasepool {
        @try {
            [self takeMessage:line length:length];
        } @catch (NSException *exception) {
            [self endWithError:protocol_error(
                                   [NSString stringWithFormat:@"It sent %@, which could not be dealt with: %@: %@.",
                                                              quote_of(line, length), exception.name,
                                                              applevz_shown_words(exception.reason ?: @"")])];
        }
    }
}

- (void)takeMessage:(const char *)line length:(size_t)length {
    VZLogBytes(_name, @"received", line, length);
    NSString *reason = nil;
    NSDictionary *message = applevz_json_read_object(line, length, LONGEST_LINE, &reason);
    if (message == nil) {
        [self endWithError:protocol_error([NSString stringWithFormat:@"It sent %@, which is not a QMP message: it %@.",
                                                                     quote_of(line, length), reason])];
        return;
    }
    NSString *event = applevz_json_text(message, @"event");
    NSDictionary *greeting = applevz_json_object(message, @"QMP");
    if (event != nil) {
        if (_eventHandler != nil)
            _eventHandler(event, applevz_json_object(message, @"data") ?: @{});
    } else if (greeting != nil) {
        if (_greetingHandler != nil)
            _greetingHandler(greeting);
    } else {
        [self takeAnswer:message line:line length:length];
    }
}

- (void)takeAnswer:(NSDictionary *)message line:(const char *)line length:(size_t)length {
    uint64_t number = 0;
    NSNumber *identifier = applevz_json_unsigned(message, @"id", &number) ? @(number) : nil;
    QMPCommand *command = identifier != nil ? _commands[identifier] : nil;
    id refusal = message[@"error"], result = message[@"return"];
    if (command == nil || (refusal == nil && result == nil)) {
        [self endWithError:protocol_error([NSString
                               stringWithFormat:@"It sent %@, which answers no command.", quote_of(line, length)])];
        return;
    }
    [_commands removeObjectForKey:identifier];
    [self watchDeadlines];
    if (refusal == nil) {
        command.completion(result, nil);
        return;
    }
    NSString *words = applevz_json_text(refusal, @"desc");
    words = words != nil ? applevz_shown_words(words) : quote_of(line, length);
    command.completion(nil, VZErrorWithReason(VZErrorInternal, nil,
                                              [NSString stringWithFormat:@"%@: %@", command.name, words], nil, nil));
}

#pragma mark Sending

- (void)execute:(NSString *)name
      arguments:(NSDictionary *)arguments
     descriptor:(HostDescriptor *)descriptor
        seconds:(NSTimeInterval)seconds
     completion:(QMPCompletion)completion {
    if (_ended) {
        completion(nil, protocol_error([NSString stringWithFormat:@"%@: the connection has ended.", name]));
        return;
    }
    QMPCommand *command = [[QMPCommand alloc] init];
    command.name = name;
    command.completion = completion;
    command.seconds = seconds;
    command.deadline = dispatch_time(DISPATCH_TIME_NOW, (int64_t)(seconds * NSEC_PER_SEC));
    NSNumber *identifier = @(++_lastIdentifier);
    // QEMU reads a byte at a time, each with several system calls: no more than has to be said. The name is one of
    // ours.
    NSMutableData *line = [NSMutableData data];
    [line appendData:[[NSString stringWithFormat:@"{\"execute\":\"%@\",\"id\":%@", name, identifier]
                         dataUsingEncoding:NSUTF8StringEncoding]];
    if (arguments.count > 0) {
        [line appendBytes:",\"arguments\":" length:13];
        [line appendData:[NSJSONSerialization dataWithJSONObject:arguments options:0 error:NULL]];
    }
    [line appendBytes:"}\n" length:2];
    // What is typed may be a password.
    if ([name isEqualToString:@"input-send-event"])
        VZLogText(_name, @"sent", [NSString stringWithFormat:@"%@ (what is typed is not shown)", name]);
    else
        VZLogBytes(_name, @"sent", line.bytes, line.length - 1);
    _commands[identifier] = command;
    [self watchDeadlines];
    if (descriptor != nil)
        _descriptors[@(_sent + _unsent.length)] = descriptor;
    [_unsent appendData:line];
    [self send];
}

/// sendmsg of the bytes from the one given, with the descriptor that travels with it, up to the next that has one.
- (ssize_t)sendFrom:(NSUInteger)start {
    NSNumber *here = @(_sent + start);
    uint64_t end = _sent + _unsent.length;
    for (NSNumber *position in _descriptors)
        if (position.unsignedLongLongValue > here.unsignedLongLongValue)
            end = MIN(end, position.unsignedLongLongValue);
    struct iovec part = {.iov_base = (char *)_unsent.mutableBytes + start, .iov_len = (size_t)(end - _sent) - start};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    HostDescriptor *descriptor = _descriptors[here];
    if (descriptor != nil) {
        int number = descriptor.number;
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof number);
        memcpy(CMSG_DATA(&control.header), &number, sizeof number);
    }
    ssize_t count = sendmsg(_socket.number, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    int error = errno;
    if (count > 0)
        [_descriptors removeObjectForKey:here];
    errno = error;
    return count;
}

- (void)send {
    NSUInteger sent = 0;
    BOOL full = NO;
    while (!full && sent < _unsent.length) {
        ssize_t count = [self sendFrom:sent];
        if (count >= 0)
            sent += (NSUInteger)count;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            full = YES;
        else if (errno != EINTR)
            break; // the other end is gone, and reading says so
    }
    if (!full) {
        _sent += _unsent.length;
        _unsent.length = 0;
        [_descriptors removeAllObjects];
        if (_writable != nil)
            dispatch_source_cancel(_writable);
        _writable = nil;
        return;
    }
    _sent += sent;
    [_unsent replaceBytesInRange:NSMakeRange(0, sent) withBytes:NULL length:0];
    if (_writable == nil)
        _writable = [self sourceOfType:DISPATCH_SOURCE_TYPE_WRITE
                               handler:^(QMPConnection *connection) {
                                   [connection send];
                               }];
}

#pragma mark Deadlines

/// One timer, set to the earliest deadline, while there are commands.
- (void)watchDeadlines {
    dispatch_time_t earliest = DISPATCH_TIME_FOREVER;
    for (QMPCommand *command in _commands.objectEnumerator)
        earliest = MIN(earliest, command.deadline);
    if (_deadlines == nil) {
        if (earliest == DISPATCH_TIME_FOREVER)
            return;
        __weak QMPConnection *weak_self = self;
        _deadlines = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, _queue);
        dispatch_source_set_event_handler(_deadlines, ^{
            [weak_self deadlinePassed];
        });
        dispatch_source_set_timer(_deadlines, earliest, DISPATCH_TIME_FOREVER, 0);
        dispatch_resume(_deadlines);
        return;
    }
    dispatch_source_set_timer(_deadlines, earliest, DISPATCH_TIME_FOREVER, 0);
}

- (void)deadlinePassed {
    // An answer that has arrived counts, also where this process stood still with it.
    [self drain];
    if (_ended)
        return;
    dispatch_time_t now = dispatch_time(DISPATCH_TIME_NOW, 0);
    for (QMPCommand *command in _commands.objectEnumerator) {
        if (command.deadline > now)
            continue;
        [self endWithError:protocol_error([NSString stringWithFormat:@"It did not answer the command %@ within %g s.",
                                                                     command.name, command.seconds])];
        return;
    }
    [self watchDeadlines];
}

#pragma mark The end

/// Answers all commands. One of them may send another, which finds the connection ended.
- (void)failCommands:(NSError *)error {
    NSArray<NSNumber *> *identifiers = [_commands.allKeys sortedArrayUsingSelector:@selector(compare:)];
    NSDictionary<NSNumber *, QMPCommand *> *commands = [_commands copy];
    [_commands removeAllObjects];
    for (NSNumber *identifier in identifiers)
        commands[identifier].completion(nil, error);
}

- (void)endWithError:(NSError *)error {
    if (_ended)
        return;
    void (^handler)(NSError *) = _endHandler;
    [self stop];
    // First whoever owns the connection, so that those whose commands fail can ask it why.
    if (handler != nil)
        handler(error);
    [self failCommands:error ?: protocol_error(@"It closed the connection.")];
}

- (void)closeWithError:(NSError *)error {
    if (_ended)
        return;
    [self stop];
    [self failCommands:error];
}

- (void)stop {
    _ended = YES;
    _greetingHandler = nil;
    _eventHandler = nil;
    _endHandler = nil;
    [self cancelSources];
}

@end
