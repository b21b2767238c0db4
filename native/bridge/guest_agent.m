// SPDX-License-Identifier: Apache-2.0
#import "guest_agent.h"
#import "descriptors.h"
#import "errors.h"
#import "guard.h"
#import "ownership.h"
#import <errno.h>
#import <fcntl.h>
#import <string.h>
#import <sys/socket.h>
#import <time.h>
#import <unistd.h>

// What an agent says of what it is asked here is a few words. A guest that says more is not listened to.
enum { LONGEST_ANSWER = 64 * 1024 };

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
}

- (instancetype)initWithError:(NSError **)error {
    self = [super init];
    if (self == nil)
        return nil;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        *error = [NSError errorWithDomain:NSPOSIXErrorDomain code:errno userInfo:nil];
        return nil;
    }
    for (int i = 0; i < 2; i++)
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    _host = [[NSFileHandle alloc] initWithFileDescriptor:ends[0] closeOnDealloc:YES];
    _guest = [[NSFileHandle alloc] initWithFileDescriptor:ends[1] closeOnDealloc:YES];
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

#pragma mark The conversation

/// What another machine's agent was asked, or this one's before it was saved, may be answered now. Only the answer with this
/// number is to what is asked here, and what is asked next is answered next.
- (void)synchronize {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    _identifier = (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_USEC;
    // The byte 0xFF, which is in no JSON, ends whatever the agent has half read.
    NSMutableData *request = [NSMutableData dataWithBytes:"\xFF" length:1];
    [request appendData:[[NSString stringWithFormat:@"{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%llu}}\n",
                                                    (unsigned long long)_identifier]
                            dataUsingEncoding:NSUTF8StringEncoding]];
    [self ask:request awaiting:AWAITED_SYNCHRONIZATION];
    [self listen];
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
        @autoreleasepool {
            [weak_self receive];
        }
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

- (void)receive {
    char bytes[4096];
    ssize_t count = read(_host.fileDescriptor, bytes, sizeof bytes);
    if (count <= 0)
        return;
    [_received appendBytes:bytes length:(NSUInteger)count];
    const char *newline;
    while (_awaited != AWAITED_NOTHING && (newline = memchr(_received.bytes, '\n', _received.length)) != NULL) {
        NSUInteger length = (NSUInteger)(newline - (const char *)_received.bytes);
        NSData *line = [_received subdataWithRange:NSMakeRange(0, length)];
        [_received replaceBytesInRange:NSMakeRange(0, length + 1) withBytes:NULL length:0];
        [self takeLine:line];
    }
    if (_received.length > LONGEST_ANSWER)
        [self stopListening];
}

- (void)takeLine:(NSData *)line {
    const char *bytes = line.bytes;
    NSUInteger start = line.length;
    while (start > 0 && (unsigned char)bytes[start - 1] != 0xFF)
        start--;
    NSDictionary *message = nil;
    @try {
        message = [NSJSONSerialization JSONObjectWithData:[line subdataWithRange:NSMakeRange(start, line.length - start)]
                                                  options:0
                                                    error:NULL];
    } @catch (NSException *exception) {
        return;
    }
    if (![message isKindOfClass:[NSDictionary class]])
        return;
    id answer = message[@"return"];
    if (_awaited == AWAITED_SYNCHRONIZATION) {
        if ([answer isKindOfClass:[NSNumber class]] && [answer unsignedLongLongValue] == _identifier)
            [self setTime];
        return;
    }
    NSDictionary *refusal = message[@"error"];
    if (answer == nil && refusal == nil)
        return;
    [self stopListening];
    NSError *error = nil;
    if (answer == nil) {
        NSString *words = [refusal isKindOfClass:[NSDictionary class]] ? [refusal[@"desc"] description] : nil;
        error = applevz_error(VZErrorDomain, VZErrorInternal, @"The guest's clock could not be set.",
                              [NSString stringWithFormat:@"The guest's agent said: %@.", words ?: @"nothing of use"],
                              @"Set it in the guest.");
    }
    if (_clockHandler != nil)
        _clockHandler(error);
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
