// SPDX-License-Identifier: Apache-2.0
// A QMP connection whose other end says what no QEMU says, and a stream of QEMU's that it cuts off while it is saved.
//
// Arguments: a folder to write to.
#import "host/HostForwardedPeers.h"
#import "QEMU/saved_states/QEMUSavedStateWriter.h"
#import "QEMU/program/QMPConnection.h"
#import "../checks.h"
#import <Virtualization/Virtualization.h>
#import <errno.h>
#import <pthread.h>
#import <stdatomic.h>
#import <string.h>
#import <sys/mman.h>
#import <sys/socket.h>
#import <unistd.h>

/// A connection, the other end of its socket, and how it ended.
@interface Conversation : NSObject
@property QMPConnection *connection;
@property dispatch_queue_t queue;
@property int end;
@property NSError *error;
@property dispatch_semaphore_t ended;
@end

@implementation Conversation

- (instancetype)init {
    self = [super init];
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    _end = ends[1];
    _queue = dispatch_queue_create("conversation", DISPATCH_QUEUE_SERIAL);
    _ended = dispatch_semaphore_create(0);
    _connection = [[QMPConnection alloc] initWithSocket:[[HostDescriptor alloc] initWithDescriptor:ends[0]]
                                                  queue:_queue
                                                   name:@"QEMU 1"];
    __weak Conversation *weak_self = self;
    _connection.endHandler = ^(NSError *error) {
        weak_self.error = error;
        dispatch_semaphore_signal(weak_self.ended);
    };
    return self;
}

- (void)dealloc {
    close(_end);
}

- (void)say:(const char *)text {
    CHECK(write(_end, text, strlen(text)) == (ssize_t)strlen(text));
}

- (NSString *)reason {
    CHECK(dispatch_semaphore_wait(_ended, dispatch_time(DISPATCH_TIME_NOW, 60 * (int64_t)NSEC_PER_SEC)) == 0);
    return self.error.localizedFailureReason;
}

@end

static BOOL contains(NSString *text, NSString *part) {
    return text != nil && [text rangeOfString:part].location != NSNotFound;
}

/// What no check has foreseen ends the connection, and the process goes on.
static void exceptions_end_the_connection(void) {
    for (int kind = 0; kind < 3; kind++) {
        Conversation *conversation = [[Conversation alloc] init];
        QMPConnection *connection = conversation.connection;
        connection.eventHandler = ^(NSString *name, NSDictionary *data) {
            (void)name;
            [NSException raise:@"Foreseen" format:@"by nobody: \x1b %@", data];
        };
        connection.greetingHandler = ^(NSDictionary *greeting) {
            [[NSMutableArray array] addObject:(id _Nonnull)greeting[@"missing"]];
        };
        __block NSError *later = nil;
        dispatch_sync(conversation.queue, ^{
            [connection open];
            [connection execute:@"first"
                      arguments:nil
                     descriptor:nil
                        seconds:60
                     completion:^(id result, NSError *error) {
                         if (error == nil)
                             [result objectForKey:@"x"];
                     }];
            [connection execute:@"second"
                      arguments:nil
                     descriptor:nil
                        seconds:60
                     completion:^(id result, NSError *error) {
                         (void)result;
                         later = error;
                     }];
        });
        [conversation say:kind == 0   ? "{\"event\":\"X\",\"data\":{}}\n"
                          : kind == 1 ? "{\"QMP\":{}}\n"
                                      : "{\"return\":[],\"id\":1}\n"];
        NSString *reason = conversation.reason;
        CHECK(contains(reason, @"could not be dealt with: "));
        CHECK(!contains(reason, @"\x1b"));
        dispatch_sync(conversation.queue, ^{
            CHECK(later != nil);
        });
    }
}

static void long_lines_are_refused(void) {
    Conversation *conversation = [[Conversation alloc] init];
    [conversation.connection open];
    NSMutableData *part = [NSMutableData dataWithLength:64 * 1024];
    memset(part.mutableBytes, '[', part.length);
    // More than it holds of a line, and the socket of what nobody takes any more.
    size_t sent = 0;
    while (sent < 3 << 20 && dispatch_semaphore_wait(conversation.ended, DISPATCH_TIME_NOW) != 0) {
        ssize_t count = send(conversation.end, part.bytes, part.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += count > 0 ? (size_t)count : 0;
        if (count < 0)
            usleep(1000);
    }
    dispatch_semaphore_signal(conversation.ended);
    CHECK(contains(conversation.reason, @"It sent a line without an end."));
}

static atomic_bool flooding;

static void *flood(void *context) {
    int end = *(int *)context;
    char text[64 * 1024];
    const char line[] = "{\"event\":\"X\",\"data\":{\"a\":[1,2,3]},\"timestamp\":{\"seconds\":1}}\n";
    size_t length = 0;
    while (length + sizeof line - 1 <= sizeof text) {
        memcpy(text + length, line, sizeof line - 1);
        length += sizeof line - 1;
    }
    while (atomic_load(&flooding))
        if (send(end, text, length, MSG_NOSIGNAL) < 0)
            break;
    return NULL;
}

/// The queue's other work has its turns while events come without an end, and taking in what has arrived comes to an
/// end.
static void endless_events_leave_the_queue_to_others(void) {
    Conversation *conversation = [[Conversation alloc] init];
    QMPConnection *connection = conversation.connection;
    __block unsigned long events = 0;
    dispatch_semaphore_t many = dispatch_semaphore_create(0);
    connection.eventHandler = ^(NSString *name, NSDictionary *data) {
        (void)name;
        (void)data;
        if (++events == 10000)
            dispatch_semaphore_signal(many);
    };
    dispatch_sync(conversation.queue, ^{
        [connection open];
    });
    atomic_store(&flooding, true);
    pthread_t thread;
    int end = conversation.end;
    CHECK(pthread_create(&thread, NULL, flood, &end) == 0);
    CHECK(dispatch_semaphore_wait(many, dispatch_time(DISPATCH_TIME_NOW, 60 * (int64_t)NSEC_PER_SEC)) == 0);
    __block int turns = 0;
    for (int i = 0; i < 200; i++)
        dispatch_sync(conversation.queue, ^{
            turns++;
        });
    dispatch_sync(conversation.queue, ^{
        [connection drain];
    });
    dispatch_sync(conversation.queue, ^{
        [connection closeWithError:[NSError errorWithDomain:NSPOSIXErrorDomain code:ECANCELED userInfo:nil]];
    });
    atomic_store(&flooding, false);
    shutdown(end, SHUT_RDWR);
    conversation.connection = nil;
    pthread_join(thread, NULL);
    CHECK(turns == 200);
}

static atomic_bool cutting;

static void *cut(void *context) {
    int file = *(int *)context;
    while (atomic_load(&cutting)) {
        (void)!ftruncate(file, 0);
        (void)!ftruncate(file, 8 << 20);
    }
    return NULL;
}

/// Saved or refused: never the end of the process, which reading what is mapped of a file that was cut is.
static void a_stream_that_is_cut_is_an_error(NSString *folder) {
    NSError *error = nil;
    QEMUStateStream *stream = [[QEMUStateStream alloc] initWithError:&error];
    int file = stream.file.number;
    CHECK(ftruncate(file, 8 << 20) == 0);
    atomic_store(&cutting, true);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, cut, &file) == 0);
    int refused = 0;
    for (int i = 0; i < 30; i++) {
        NSString *path = [folder stringByAppendingFormat:@"/state-%d", i];
        QEMUSavedStateWriter *writer = [[QEMUSavedStateWriter alloc] initWithPath:path
                                                                           memory:nil
                                                                       memorySize:1 << 20
                                                                      overwriting:NO
                                                                      handingOver:NO];
        CHECK([writer writeMemoryWithError:&error]);
        if (![writer finishWithStream:stream disks:@[] description:@{} error:&error]) {
            refused++;
            CHECK(error.code == VZErrorSave);
        }
        unlink(path.UTF8String);
    }
    atomic_store(&cutting, false);
    pthread_join(thread, NULL);
    (void)refused; // each was one or the other
}

/// A file without data can have any length, and QEMU any file.
static void lengths_that_no_machine_has_are_refused(NSString *folder) {
    NSError *error = nil;
    NSString *path = [folder stringByAppendingPathComponent:@"state"];
    HostDescriptor *memory = [HostDescriptor memoryOfSize:4 << 20 error:&error];
    for (int kind = 0; kind < 3; kind++) {
        QEMUStateStream *stream = [[QEMUStateStream alloc] initWithError:&error];
        CHECK(ftruncate(stream.file.number, kind == 0 ? (off_t)1 << 50 : 4096) == 0);
        CHECK(ftruncate(memory.number, kind == 1 ? (off_t)1 << 50 : kind == 2 ? 4096 : 4 << 20) == 0);
        QEMUSavedStateWriter *writer = [[QEMUSavedStateWriter alloc] initWithPath:path
                                                                           memory:memory
                                                                       memorySize:4 << 20
                                                                      overwriting:NO
                                                                      handingOver:NO];
        BOOL written = [writer writeMemoryWithError:&error] && [writer finishWithStream:stream
                                                                                  disks:@[]
                                                                            description:@{}
                                                                                  error:&error];
        CHECK(!written && error.code == VZErrorSave);
        CHECK(contains(error.localizedFailureReason, @"QEMU left "));
        CHECK(access(path.UTF8String, F_OK) != 0);
    }
}

static void connections_are_read_as_the_kernel_writes_them(void) {
    host_tcp_line line;
    CHECK(host_parse_tcp_line(
        "  12: 0100407F:9C41 0100007F:0016 01 00000000:00000000 00:00000000 00000000  1000        0 34567 1 "
        "0000000000000000 20 4 30 10 -1",
        &line));
    CHECK(line.local == 0x0100407f && line.local_port == 0x9c41 && line.remote == 0x0100007f && line.remote_port == 22);
    CHECK(line.state == 1 && line.user == 1000 && line.inode == 34567);
    CHECK(!host_parse_tcp_line("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid",
                               &line));
    CHECK(!host_parse_tcp_line("", &line));
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    @autoreleasepool {
        NSString *folder = [NSString stringWithUTF8String:arguments[1]];
        exceptions_end_the_connection();
        long_lines_are_refused();
        endless_events_leave_the_queue_to_others();
        a_stream_that_is_cut_is_an_error(folder);
        lengths_that_no_machine_has_are_refused(folder);
        connections_are_read_as_the_kernel_writes_them();
    }
    return 0;
}
