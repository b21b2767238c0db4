// SPDX-License-Identifier: Apache-2.0
// The figures of a machine that runs. QEMU and the guest may be hostile: what they say is taken where it is a number
// that can be, and left out otherwise.
#import "VZVirtualMachine+Private.h"
#import "host/HostUsage.h"
#import <json_values.h>
#import <time.h>

typedef NSMutableDictionary<NSString *, id> Statistics;

// QEMU asks the guest's balloon driver at once when it is told an interval, and then once in that many seconds; it is
// told none as soon as there is an answer (hw/virtio/virtio-balloon.c).
enum { POLLING_SECONDS = 3600 };
// An answer tells its second. One that is that old is as good as a new one.
enum { FRESH_SECONDS = 1 };
// A driver answers within a few milliseconds, or there is none.
enum { LOOKS = 6, FIRST_LOOK_MILLISECONDS = 5 };

static NSString *const BalloonPath = @"/machine/peripheral/balloon0";
static NSString *const IntervalProperty = @"guest-stats-polling-interval";

static void take(Statistics *statistics, NSString *name, id _Nullable answer, NSString *member, uint64_t most) {
    uint64_t value = 0;
    if (applevz_json_unsigned(answer, member, &value) && value <= most)
        statistics[name] = @(value);
}

/// An object for each disk of the configuration, in its order.
static NSArray<Statistics *> *disks_of(id _Nullable answer, NSUInteger count) {
    NSMutableArray<Statistics *> *disks = [NSMutableArray array];
    NSMutableDictionary<NSString *, Statistics *> *byName = [NSMutableDictionary dictionary];
    for (NSUInteger index = 0; index < count; index++) {
        [disks addObject:[NSMutableDictionary dictionary]];
        byName[QEMUNameOfDisk(index)] = disks[index];
    }
    if (![answer isKindOfClass:[NSArray class]])
        return disks;
    for (id device in answer) {
        NSString *name = applevz_json_text(device, @"node-name");
        NSDictionary *stats = applevz_json_object(device, @"stats");
        Statistics *disk = name != nil ? byName[name] : nil;
        if (disk == nil || stats == nil)
            continue;
        // Python's and JSON's numbers are exact up to there, and no disk comes so far.
        uint64_t most = INT64_MAX;
        take(disk, @"read_bytes", stats, @"rd_bytes", most);
        take(disk, @"read_operations", stats, @"rd_operations", most);
        take(disk, @"written_bytes", stats, @"wr_bytes", most);
        take(disk, @"write_operations", stats, @"wr_operations", most);
        take(disk, @"flush_operations", stats, @"flush_operations", most);
    }
    return disks;
}

/// NO for an answer of a guest that has not answered lately.
static BOOL take_guest_memory(Statistics *statistics, id _Nullable answer, uint64_t memorySize) {
    int64_t updated = 0;
    NSDictionary *stats = applevz_json_object(answer, @"stats");
    if (stats == nil || !applevz_json_integer(answer, @"last-update", 1, INT64_MAX, &updated) ||
        updated < (int64_t)time(NULL) - FRESH_SECONDS)
        return NO;
    // A guest has no more than its machine; what it does not tell is the largest number that there is.
    take(statistics, @"guest_memory_total", stats, @"stat-total-memory", memorySize);
    take(statistics, @"guest_memory_available", stats, @"stat-available-memory", memorySize);
    take(statistics, @"guest_memory_free", stats, @"stat-free-memory", memorySize);
    return YES;
}

@implementation VZVirtualMachine (Statistics)

- (void)applevzTakeStatisticsWithCompletionHandler:(void (^)(NSDictionary<NSString *, id> *statistics))handler {
    [self checkQueue];
    Statistics *statistics = [NSMutableDictionary dictionary];
    QEMUInstance *instance = _instance;
    host_process_usage usage;
    // Of the kernel's memory, without a disk. On the queue: the process is not reaped meanwhile.
    if (!instance.isAnswering || ![instance getUsage:&usage]) {
        dispatch_async(self.queue, ^{
            handler(statistics);
        });
        return;
    }
    statistics[@"processor_time"] = @(usage.processor_seconds);
    statistics[@"memory_resident"] = @(usage.resident_bytes);
    statistics[@"networks"] = [self networkStatistics];
    NSUInteger count = _configuration.storageDevices.count;
    uint64_t size = _configuration.memorySize;
    BOOL hasBalloon = _configuration.memoryBalloonDevices.count > 0;
    BOOL runs = self.state == VZVirtualMachineStateRunning;
    __weak QEMUInstance *weak_instance = instance;
    __weak VZVirtualMachine *weak_self = self;
    // Each is answered, by QEMU or by its end.
    __block NSUInteger pending = 1;
    dispatch_block_t done = ^{
        if (--pending == 0)
            handler(statistics);
    };
    if (count > 0) {
        pending++;
        [instance execute:@"query-blockstats"
                arguments:nil
               completion:^(id result, NSError *refusal) {
                   (void)refusal;
                   statistics[@"disks"] = disks_of(result, count);
                   done();
               }];
    }
    if (hasBalloon) {
        pending++;
        [instance execute:@"query-balloon"
                arguments:nil
               completion:^(id result, NSError *refusal) {
                   (void)refusal; // of a guest without the driver
                   take(statistics, @"balloon_size", result, @"actual", size);
                   QEMUInstance *answering = weak_instance;
                   VZVirtualMachine *machine = weak_self;
                   if (runs && machine != nil && answering.isAnswering)
                       [machine lookAtGuestMemoryOf:answering into:statistics looks:0 completion:done];
                   else
                       done();
               }];
    }
    dispatch_async(self.queue, done);
}

/// An object for each network card, in its order: what the host's interface counts, which receives what a guest sends.
- (NSArray<Statistics *> *)networkStatistics {
    NSMutableArray<Statistics *> *networks = [NSMutableArray array];
    for (VZNetworkDevice *device in self.networkDevices) {
        Statistics *network = [NSMutableDictionary dictionary];
        const char *name = device.hostInterfaceName.UTF8String;
        host_interface_usage usage;
        if (name != NULL && host_interface_usage_of(name, &usage))
            [network addEntriesFromDictionary:@{
                @"received_bytes" : @(usage.sent_bytes),
                @"received_packets" : @(usage.sent_packets),
                @"sent_bytes" : @(usage.received_bytes),
                @"sent_packets" : @(usage.received_packets),
            }];
        [networks addObject:network];
    }
    return networks;
}

/// What the guest's balloon driver says of its memory: what it said within the last second, or else what it says when
/// it is asked, if it does.
- (void)lookAtGuestMemoryOf:(QEMUInstance *)instance
                       into:(Statistics *)statistics
                      looks:(unsigned)looks
                 completion:(dispatch_block_t)completion {
    uint64_t size = _configuration.memorySize;
    __weak QEMUInstance *weak_instance = instance;
    __weak VZVirtualMachine *weak_self = self;
    [instance execute:@"qom-get"
            arguments:@{@"path" : BalloonPath, @"property" : @"guest-stats"}
           completion:^(id result, NSError *refusal) {
               QEMUInstance *answering = weak_instance;
               VZVirtualMachine *machine = weak_self;
               BOOL ended = refusal != nil || machine == nil || !answering.isAnswering;
               if (ended || take_guest_memory(statistics, result, size) || looks == LOOKS) {
                   if (!ended && looks > 0)
                       [machine askGuestMemoryOf:answering every:0];
                   completion();
                   return;
               }
               if (looks == 0) {
                   // An interval that is told again asks nobody.
                   [machine askGuestMemoryOf:answering every:0];
                   [machine askGuestMemoryOf:answering every:POLLING_SECONDS];
               }
               dispatch_after(
                   dispatch_time(DISPATCH_TIME_NOW, (FIRST_LOOK_MILLISECONDS << looks) * (int64_t)NSEC_PER_MSEC),
                   answering.queue, ^{
                       QEMUInstance *later = weak_instance;
                       VZVirtualMachine *still = weak_self;
                       if (still == nil || !later.isAnswering)
                           completion();
                       else
                           [still lookAtGuestMemoryOf:later into:statistics looks:looks + 1 completion:completion];
                   });
           }];
}

- (void)askGuestMemoryOf:(QEMUInstance *)instance every:(int)seconds {
    [instance execute:@"qom-set"
            arguments:@{@"path" : BalloonPath, @"property" : IntervalProperty, @"value" : @(seconds)}
           completion:^(id result, NSError *refusal) {
               (void)result;
               (void)refusal; // then it tells nothing
           }];
}

@end
