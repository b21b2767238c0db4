// SPDX-License-Identifier: Apache-2.0
// What a QEMU answers that a guest took over: a command after the other gets the next line of the input, whatever it
// was, and each of those who ask makes of it what it can.
#import "fuzz.h"
#import "machine/VZVirtualMachine+Private.h"
#import "QEMU/display/QEMUScreenshots.h"
#import "QEMU/network/QEMUNetworkCardExchange.h"
#import "QEMU/network/QEMUPortConnection.h"
#import "QEMU/saved_states/QEMUMigration.h"
#import "QEMU/storage/QEMUUSBDisk.h"
#import "support/VZErrors+Private.h"
#import <dispatch/dispatch.h>
#import <json_reader.h>
#import <json_values.h>
#import <string.h>
#import <unistd.h>

enum { MOST_STEPS = 2000 };

/// What is to be done on the queue, in its order; nil while nobody answers.
static NSMutableArray<dispatch_block_t> *waiting;
/// How often those who asked were told of the end.
static int completions;

typedef void (^Taker)(NSString *name, NSDictionary *data);

void __real_dispatch_after(dispatch_time_t when, dispatch_queue_t queue, dispatch_block_t block);
void __wrap_dispatch_after(dispatch_time_t when, dispatch_queue_t queue, dispatch_block_t block);

/// A time passes at once.
void __wrap_dispatch_after(dispatch_time_t when, dispatch_queue_t queue, dispatch_block_t block) {
    if (waiting != nil)
        [waiting addObject:[block copy]];
    else
        __real_dispatch_after(when, queue, block);
}

/// What is asked of the command line that it was started with.
@interface AnsweringCommandLine : NSObject
@property HostDescriptor *screenshotFile;
@property (readonly) NSString *screenshotPath;
@property (readonly) HostDescriptor *incomingFile;
@property (readonly) unsigned long incomingDescriptor;
@property (readonly) unsigned long long incomingPosition;
@property (readonly) BOOL isFresh, ignoresSharedMemory;
@property (readonly) NSArray *fileServers;
@end

@implementation AnsweringCommandLine
- (NSString *)screenshotPath {
    return @"/proc/self/fd/9";
}
- (HostDescriptor *)incomingFile {
    return nil;
}
- (void)forgetIncomingFile {
}
- (unsigned long)incomingDescriptor {
    return 8;
}
- (unsigned long long)incomingPosition {
    return 0;
}
- (BOOL)isFresh {
    return YES;
}
- (BOOL)ignoresSharedMemory {
    return NO;
}
- (NSArray *)fileServers {
    return @[];
}
@end

@interface AnsweringInstance : QEMUInstance
@property AnsweringCommandLine *words;
@property (copy) NSData *input;
@property NSUInteger position;
@property BOOL hasEnded;
/// The next line as JSON; nil where there is none.
- (nullable NSDictionary *)nextMessage;
@end

@implementation AnsweringInstance

- (QEMUCommandLine *)commandLine {
    return (QEMUCommandLine *)(id)self.words;
}

- (NSString *)version {
    return self.input.length % 2 == 0 ? @"7.2" : @"10.0";
}

- (NSTimeInterval)answerSeconds {
    return 1;
}

- (BOOL)isAnswering {
    return !self.hasEnded;
}

- (BOOL)getUsage:(host_process_usage *)usage {
    *usage = (host_process_usage){0};
    return YES;
}

- (void)giveUpWithError:(NSError *)error {
    look_at_error(error);
    self.hasEnded = YES;
}

- (NSDictionary *)nextMessage {
    size_t left = self.input.length - self.position;
    // No data has no address.
    const char *bytes = left > 0 ? (const char *)self.input.bytes + self.position : "";
    const char *end = left > 0 ? memchr(bytes, '\n', left) : NULL;
    size_t length = end != NULL ? (size_t)(end - bytes) : left;
    self.position += length + (end != NULL);
    NSDictionary *message = applevz_json_read_object(bytes, length, 1 << 20, NULL);
    // One that says something else than an answer is not spoken to any longer, as QMPConnection.m does it.
    self.hasEnded |= message == nil;
    return message;
}

- (void)execute:(NSString *)command arguments:(NSDictionary *)arguments completion:(QMPCompletion)completion {
    [self execute:command arguments:arguments descriptor:nil completion:completion];
}

- (void)execute:(NSString *)command
      arguments:(NSDictionary *)arguments
     descriptor:(HostDescriptor *)descriptor
     completion:(QMPCompletion)completion {
    (void)descriptor;
    HOLD(arguments == nil || [NSJSONSerialization dataWithJSONObject:arguments options:0 error:NULL] != nil);
    [waiting addObject:^{
        NSDictionary *message = self.hasEnded ? nil : [self nextMessage];
        id result = message[@"return"];
        NSString *words = applevz_json_text(message[@"error"], @"desc") ?: @"It closed the connection.";
        NSString *reason = [NSString stringWithFormat:@"%@: %@", command, words];
        completion(result, result == nil ? VZErrorWithReason(VZErrorInternal, nil, reason, nil, nil) : nil);
    }];
}

@end

@interface VZVirtualMachine (Answers)
- (void)takeStatisticsOf:(QEMUInstance *)instance completion:(void (^)(NSDictionary *statistics))completion;
@end

@implementation VZVirtualMachine (Answers)
- (void)takeStatisticsOf:(QEMUInstance *)instance completion:(void (^)(NSDictionary *statistics))completion {
    _instance = instance;
    [self applevzTakeStatisticsWithCompletionHandler:completion];
    _instance = nil;
}
@end

/// A machine of which there is much to tell.
static VZVirtualMachine *machine_with_figures(dispatch_queue_t queue) {
    VZVirtualMachineConfiguration *configuration = [[VZVirtualMachineConfiguration alloc] init];
    NSURL *kernel = [NSURL fileURLWithPath:[NSString stringWithUTF8String:getenv("FUZZ_KERNEL")]];
    configuration.bootLoader = [[VZLinuxBootLoader alloc] initWithKernelURL:kernel];
    configuration.memorySize = UINT64_C(256) << 20;
    NSError *error = nil;
    NSMutableArray<VZStorageDeviceConfiguration *> *disks = [NSMutableArray array];
    for (NSString *server in @[ @"nbd://one/", @"nbd://two/" ]) {
        VZNetworkBlockDeviceStorageDeviceAttachment *disk =
            [[VZNetworkBlockDeviceStorageDeviceAttachment alloc] initWithURL:[NSURL URLWithString:server] error:&error];
        [disks addObject:[[VZVirtioBlockDeviceConfiguration alloc] initWithAttachment:disk]];
    }
    configuration.storageDevices = disks;
    configuration.memoryBalloonDevices = @[ [[VZVirtioTraditionalMemoryBalloonDeviceConfiguration alloc] init] ];
    VZVirtualMachine *machine = [[VZVirtualMachine alloc] initWithConfiguration:configuration queue:queue];
    [machine setValue:@(VZVirtualMachineStateRunning) forKey:@"_state"];
    return machine;
}

static void take_event(AnsweringInstance *instance, Taker take) {
    NSDictionary *message = instance.hasEnded ? nil : [instance nextMessage];
    NSString *event = applevz_json_text(message, @"event");
    if (event != nil)
        take(event, applevz_json_object(message, @"data") ?: @{});
}

/// Does all that is to be done, with an event now and then. Whoever asks for ever is told that QEMU is gone.
static void run(AnsweringInstance *instance, Taker _Nullable take) {
    for (int step = 0; waiting.count > 0; step++) {
        if (step == MOST_STEPS)
            instance.hasEnded = YES;
        HOLD(step < 2 * MOST_STEPS);
        dispatch_block_t next = waiting[0];
        [waiting removeObjectAtIndex:0];
        next();
        if (take != nil && step % 3 == 2)
            take_event(instance, take);
    }
}

static void (^completion)(NSError *) = ^(NSError *error) {
    completions++;
    look_at_error(error);
};

static void (^descriptor_completion)(int, NSError *) = ^(int descriptor, NSError *error) {
    HOLD((descriptor < 0) == (error != nil));
    if (descriptor >= 0)
        close(descriptor);
    completion(error);
};

static Taker ask_for_statistics(AnsweringInstance *instance, VZVirtualMachine *machine) {
    [machine takeStatisticsOf:instance
                   completion:^(NSDictionary *statistics) {
                       HOLD([NSJSONSerialization dataWithJSONObject:statistics options:0 error:NULL] != nil);
                       completions++;
                   }];
    return nil;
}

static Taker connect_to_port(AnsweringInstance *instance, VZVirtualMachine *machine) {
    (void)machine;
    BOOL (^is_wanted)(void) = ^BOOL {
        return YES;
    };
    QEMUConnectToPort(instance, @"network0", 22, is_wanted, descriptor_completion);
    return nil;
}

static Taker receive_state(AnsweringInstance *instance, VZVirtualMachine *machine) {
    (void)machine;
    QEMUMigrationReceive(instance, completion);
    return ^(NSString *name, NSDictionary *data) {
        NSString *status = applevz_json_text(data, @"status");
        if ([name isEqualToString:@"MIGRATION"] && status != nil && instance.migrationHandler != nil)
            instance.migrationHandler(status);
    };
}

static Taker take_out_disk(AnsweringInstance *instance, VZVirtualMachine *machine) {
    (void)machine;
    VZNetworkBlockDeviceStorageDeviceAttachment *attachment =
        [[VZNetworkBlockDeviceStorageDeviceAttachment alloc] initWithURL:[NSURL URLWithString:@"nbd://one/"]
                                                                   error:NULL];
    VZUSBMassStorageDeviceConfiguration *configuration =
        [[VZUSBMassStorageDeviceConfiguration alloc] initWithAttachment:attachment];
    QEMUUSBDisk *disk = [[QEMUUSBDisk alloc] initWithConfiguration:configuration controller:0 port:1];
    [disk takeOutOf:instance completion:completion];
    return ^(NSString *name, NSDictionary *data) {
        [disk takeEvent:name data:data];
    };
}

static Taker take_screenshot(AnsweringInstance *instance, VZVirtualMachine *machine) {
    (void)machine;
    HostDescriptor *file = [HostDescriptor memoryOfSize:instance.input.length % 9 error:NULL];
    // A file without data can claim any length.
    if (instance.input.length % 2 == 1)
        HOLD(ftruncate(file.number, (off_t)1 << 40) == 0);
    instance.words.screenshotFile = file;
    [[[QEMUScreenshots alloc] initWithInstance:instance] takeWithCompletion:descriptor_completion];
    return nil;
}

static Taker exchange_cards(AnsweringInstance *instance, VZVirtualMachine *machine) {
    (void)machine;
    NSArray *cards = @[ @{@"id" : @"net0"}, @{@"id" : @"net1"} ];
    QEMUNetworkCardExchange *exchange = [[QEMUNetworkCardExchange alloc] initWithInstance:instance cards:cards];
    [exchange beginWithCompletion:completion];
    return ^(NSString *name, NSDictionary *data) {
        [exchange takeEvent:name data:data];
    };
}

/// Those who ask, and how often each is told of the end at least. None is told twice.
static const struct {
    Taker (*ask)(AnsweringInstance *instance, VZVirtualMachine *machine);
    int least;
} askers[] = {
    {ask_for_statistics, 1}, {connect_to_port, 1}, {receive_state, 0},
    {take_out_disk, 0},      {take_screenshot, 1}, {exchange_cards, 1},
};

void read_answers(const uint8_t *bytes, size_t length) {
    static VZVirtualMachine *machine;
    static dispatch_queue_t queue;
    if (queue == nil) {
        queue = dispatch_queue_create("machine", DISPATCH_QUEUE_SERIAL);
        dispatch_sync(queue, ^{
            machine = machine_with_figures(queue);
        });
    }
    if (length < 1)
        return;
    size_t asker = bytes[0] % (sizeof askers / sizeof *askers);
    AnsweringCommandLine *words = [[AnsweringCommandLine alloc] init];
    AnsweringInstance *instance = [[AnsweringInstance alloc] initWithCommandLine:(QEMUCommandLine *)(id)words
                                                                           queue:queue];
    instance.words = words;
    instance.input = [NSData dataWithBytes:bytes + 1 length:length - 1];
    __block Taker take;
    dispatch_sync(queue, ^{
        completions = 0;
        waiting = [NSMutableArray array];
        take = askers[asker].ask(instance, machine);
        run(instance, take);
    });
    // Behind what was put on the queue meanwhile.
    dispatch_sync(queue, ^{
        run(instance, take);
        instance.hasEnded = YES;
        run(instance, nil);
        instance.migrationHandler = nil;
        HOLD(completions >= askers[asker].least && completions <= 1);
        waiting = nil;
    });
}
