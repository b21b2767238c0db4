// SPDX-License-Identifier: Apache-2.0
#import "guest_agent.h"
#import "boundary/descriptors.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/ownership.h"
#import <errno.h>
#import <fcntl.h>
#import <json_reader.h>
#import <json_values.h>
#import <shown_text.h>
#import <string.h>
#import <sys/socket.h>
#import <time.h>
#import <unistd.h>

enum {
    READ_SIZE = 4096,
    // What an agent says of what it is asked here is a few words. A guest that says more, in one line or in many, is
    // not listened to any longer.
    LONGEST_CONVERSATION = 64 * 1024,
    // More than a socket holds: what was said before anything was asked.
    READS_OF_LEFT = 256,
    LONGEST_WORDS = 400,
};

enum awaited { AWAITED_NOTHING, AWAITED_SYNCHRONIZATION, AWAITED_TIME };

@implementation AppleVZGuestAgent {
    NSFileHandle *_host;
    NSFileHandle *_guest;
    dispatch_queue_t _queue;
    dispatch_source_t _readable; // while an answer is awaited
    void (^_clockHandler)(NSError *_Nullable error);
    BOOL _clockIsBehind;
    enum awaited _awaited;
    uint64_t _identifier; // of the last synchronization: answers to earlier ones may still come
    NSMutableData *_received;
    NSUInteger _heard; // bytes, in this conversation
}

- (instancetype)initWithError:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        *error = applevz_posix_error(errno);
        return nil;
    }
    int number = 0;
    for (int i = 0; i < 2; i++) {
        ends[i] = applevz_descriptor_above_standard(ends[i]);
        number = ends[i] < 0 ? errno : number;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    _host = ends[0] >= 0 ? [[NSFileHandle alloc] initWithFileDescriptor:ends[0] closeOnDealloc:YES] : nil;
    _guest = ends[1] >= 0 ? [[NSFileHandle alloc] initWithFileDescriptor:ends[1] closeOnDealloc:YES] : nil;
    if (number != 0) {
        *error = applevz_posix_error(number);
        return nil;
    }
    _received = [NSMutableData data];
    return self;
}

- (void)dealloc {
    if (_readable != nil)
        dispatch_source_cancel(_readable);
}

- (VZSerialPortAttachment *)attachment {
    return [[VZFileHandleSerialPortAttachment alloc] initWithFileHandleForReading:_guest fileHandleForWriting:_guest];
}

- (void)attachToQueue:(dispatch_queue_t)queue clockHandler:(void (^)(NSError *_Nullable error))clockHandler {
    _queue = queue;
    _clockHandler = clockHandler;
}

- (void)stateChangedFrom:(enum applevz_machine_state)before to:(enum applevz_machine_state)state {
    switch (state) {
    case APPLEVZ_MACHINE_STATE_PAUSED:
        if (before == APPLEVZ_MACHINE_STATE_RESTORING)
            _clockIsBehind = YES;
        break;
    case APPLEVZ_MACHINE_STATE_RUNNING:
        if (_clockIsBehind)
            [self synchronize];
        _clockIsBehind = NO;
        break;
    case APPLEVZ_MACHINE_STATE_STOPPED:
    case APPLEVZ_MACHINE_STATE_ERROR:
        _clockIsBehind = NO;
        [self stopListening];
        break;
    case APPLEVZ_MACHINE_STATE_STARTING:
    case APPLEVZ_MACHINE_STATE_PAUSING:
    case APPLEVZ_MACHINE_STATE_RESUMING:
    case APPLEVZ_MACHINE_STATE_STOPPING:
    case APPLEVZ_MACHINE_STATE_SAVING:
    case APPLEVZ_MACHINE_STATE_RESTORING:
        break;
    }
}

#pragma mark Somebody else's conversations

- (int)duplicateOfHostsEnd {
    return fcntl(_host.fileDescriptor, F_DUPFD_CLOEXEC, 3);
}

- (size_t)send:(const char *)bytes length:(size_t)length {
    ssize_t count = _awaited == AWAITED_NOTHING ? write(_host.fileDescriptor, bytes, length) : 0;
    return count > 0 ? (size_t)count : 0;
}

- (size_t)receiveInto:(char *)bytes length:(size_t)length {
    ssize_t count = _awaited == AWAITED_NOTHING ? read(_host.fileDescriptor, bytes, length) : 0;
    return count > 0 ? (size_t)count : 0;
}

#pragma mark The conversation

/// What another machine's agent was asked, or this one's before it was saved, may be answered now. Only the answer with
/// this number is to what is asked here, and what is asked next is answered next.
- (void)synchronize {
    [self forgetWhatIsLeft];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    _identifier = (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_USEC;
    // The byte 0xFF, which is in no JSON, ends whatever the agent has half read.
    NSMutableData *request = [NSMutableData dataWithBytes:"\xFF" length:1];
    [request appendData:[[NSString
                            stringWithFormat:@"{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%llu}}\n",
                                             (unsigned long long)_identifier] dataUsingEncoding:NSUTF8StringEncoding]];
    [self ask:request awaiting:AWAITED_SYNCHRONIZATION];
    [self listen];
}

/// What was not heard any longer is no part of the next conversation.
- (void)forgetWhatIsLeft {
    char bytes[READ_SIZE];
    for (int i = 0; i < READS_OF_LEFT && read(_host.fileDescriptor, bytes, sizeof bytes) > 0; i++)
        continue;
    _received.length = 0;
    _heard = 0;
}

/// The time of now, however long the agent took to answer.
- (void)setTime {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    NSString *request = [NSString stringWithFormat:@"{\"execute\":\"guest-set-time\",\"arguments\":{\"time\":%lld}}\n",
                                                   (long long)now.tv_sec * (long long)NSEC_PER_SEC + now.tv_nsec];
    [self ask:[request dataUsingEncoding:NSUTF8StringEncoding] awaiting:AWAITED_TIME];
}

- (void)ask:(NSData *)request awaiting:(enum awaited)awaited {
    _awaited = awaited;
    ssize_t count;
    do
        count = write(_host.fileDescriptor, request.bytes, request.length);
    while (count < 0 && errno == EINTR);
    // Full of what nobody has read: there is no agent. The guest's end is open here too, so the pipe is never broken.
    if (count != (ssize_t)request.length)
        [self stopListening];
}

- (void)listen {
    if (_readable != nil)
        return;
    NSFileHandle *host = _host;
    __weak AppleVZGuestAgent *weak_self = self;
    _readable = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)host.fileDescriptor, 0, _queue);
    dispatch_source_set_event_handler(_readable, ^{
        applevz_guard_infallible(^{
            [weak_self receive];
        });
    });
    // Until its cancellation is through a source uses the descriptor, which must not be closed before.
    dispatch_source_set_cancel_handler(_readable, ^{
        (void)host;
    });
    dispatch_resume(_readable);
}

- (void)stopListening {
    _awaited = AWAITED_NOTHING;
    _received.length = 0;
    if (_readable != nil)
        dispatch_source_cancel(_readable);
    _readable = nil;
}

/// No more than one read at a time: the machine's queue has other work. Whatever comes of it ends the conversation, not
/// the process: a guest can say anything.
- (void)receive {
    char bytes[READ_SIZE];
    ssize_t count = read(_host.fileDescriptor, bytes, sizeof bytes);
    if (count <= 0)
        return;
    @try {
        [self take:bytes length:(NSUInteger)count];
    } @catch (NSException *exception) {
        [self
            finishWithError:[self
                                errorWithReason:[NSString
                                                    stringWithFormat:@"What the guest's agent said could not be dealt "
                                                                     @"with: %@.",
                                                                     exception.name]]];
    }
}

- (void)take:(const char *)bytes length:(NSUInteger)length {
    NSUInteger searched = _received.length;
    [_received appendBytes:bytes length:length];
    _heard += length;
    const char *newline;
    while (_awaited != AWAITED_NOTHING &&
           (newline = memchr((const char *)_received.bytes + searched, '\n', _received.length - searched)) != NULL) {
        NSUInteger end = (NSUInteger)(newline - (const char *)_received.bytes);
        NSData *line = [_received subdataWithRange:NSMakeRange(0, end)];
        [_received replaceBytesInRange:NSMakeRange(0, end + 1) withBytes:NULL length:0];
        searched = 0;
        [self takeLine:line];
    }
    if (_awaited != AWAITED_NOTHING && _heard > LONGEST_CONVERSATION)
        [self
            finishWithError:[self
                                errorWithReason:[NSString
                                                    stringWithFormat:@"The guest's agent said more than %d bytes that "
                                                                     @"are no answer.",
                                                                     LONGEST_CONVERSATION]]];
}

- (NSError *)errorWithReason:(NSString *)reason {
    return applevz_error(VZErrorDomain, VZErrorInternal, @"The guest's clock could not be set.", reason,
                         @"Set it in the guest.");
}

- (void)finishWithError:(nullable NSError *)error {
    [self stopListening];
    if (_clockHandler != nil)
        _clockHandler(error);
}

- (void)takeLine:(NSData *)line {
    const char *bytes = line.bytes;
    NSUInteger start = line.length;
    while (start > 0 && (unsigned char)bytes[start - 1] != 0xFF)
        start--;
    NSDictionary *message = applevz_json_read_object(bytes + start, line.length - start, LONGEST_CONVERSATION, NULL);
    id answer = message[@"return"], refusal = message[@"error"];
    if (_awaited == AWAITED_SYNCHRONIZATION) {
        uint64_t number = 0;
        if (applevz_json_unsigned(message, @"return", &number) && number == _identifier)
            [self setTime];
    } else if (answer != nil) {
        [self finishWithError:nil];
    } else if (refusal != nil) {
        NSString *words = applevz_json_text(refusal, @"desc");
        words = words != nil ? applevz_shown_text(words, LONGEST_WORDS, NO) : @"nothing of use";
        [self finishWithError:[self errorWithReason:[NSString stringWithFormat:@"The guest's agent said: %@.", words]]];
    }
}

@end

CFErrorRef applevz_guest_agent_create(applevz_guest_agent **agent) {
    return applevz_guard(^NSError *_Nullable {
        NSError *error = nil;
        AppleVZGuestAgent *object = [[AppleVZGuestAgent alloc] initWithError:&error];
        if (object == nil)
            return error;
        *agent = applevz_hand_over_handle(object);
        return nil;
    });
}

void applevz_guest_agent_release(applevz_guest_agent *agent) {
    applevz_guard_infallible(^{
        (void)applevz_take_back_handle(agent);
    });
}

CFErrorRef applevz_serial_port_attachment_create_with_guest_agent(applevz_guest_agent *agent,
                                                                  applevz_serial_port_attachment **attachment) {
    return applevz_guard(^NSError *_Nullable {
        *attachment = applevz_hand_over_handle(applevz_borrowed(AppleVZGuestAgent, agent).attachment);
        return nil;
    });
}
