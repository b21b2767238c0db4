// SPDX-License-Identifier: Apache-2.0
// The figures of a machine: what the framework tells of what runs it, where it tells anything, and what is known of
// every machine.
#import "statistics.h"
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/guard.h"
#import "boundary/ownership.h"
#import "boundary/text.h"
#import "machine_private.h"
#import <time.h>

double applevz_monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

@implementation AppleVZMachine (Statistics)

/// On the queue.
- (void)keepStatistics:(NSDictionary<NSString *, id> *)told {
    NSMutableDictionary<NSString *, id> *statistics = [told mutableCopy];
    enum applevz_machine_state state = self.state;
    if (state != APPLEVZ_MACHINE_STATE_STOPPED && state != APPLEVZ_MACHINE_STATE_ERROR)
        statistics[@"uptime"] = @(applevz_monotonic_seconds() - _runBegan);
    statistics[@"networks"] = [self networksOf:told[@"networks"]];
    _statistics = statistics;
}

/// With the address of each card, by which its guest can tell of it.
- (NSArray<NSDictionary *> *)networksOf:(nullable NSArray<NSDictionary *> *)told {
    NSMutableArray<NSDictionary *> *networks = [NSMutableArray array];
    for (NSUInteger index = 0; index < _configuration.networkDevices.count; index++) {
        NSDictionary *figures = index < told.count ? told[index] : @{};
        NSMutableDictionary *network = [NSMutableDictionary dictionaryWithDictionary:figures];
        network[@"mac_address"] = [self macAddressOfNetworkDevice:index];
        [networks addObject:network];
    }
    return networks;
}

- (AppleVZOperation *)takeStatistics {
    __weak AppleVZMachine *weak_self = self;
    return [self request:^(VZVirtualMachine *object, AppleVZOperation *operation, void (^done)(void)) {
        void (^taken)(NSDictionary<NSString *, id> *) = ^(NSDictionary<NSString *, id> *told) {
            [weak_self keepStatistics:told];
            [operation completeWithError:nil];
            done();
        };
        if ([object respondsToSelector:@selector(applevzTakeStatisticsWithCompletionHandler:)])
            [(id<AppleVZStatistics>)object applevzTakeStatisticsWithCompletionHandler:taken];
        else
            taken(@{});
    }];
}

- (NSDictionary<NSString *, id> *)statistics {
    return _statistics ?: @{};
}

@end

CFErrorRef applevz_machine_take_statistics(applevz_machine *machine, applevz_operation **operation) {
    return applevz_guard(^NSError *_Nullable {
        *operation = applevz_hand_over_handle([applevz_borrowed(AppleVZMachine, machine) takeStatistics]);
        return nil;
    });
}

CFErrorRef applevz_machine_statistics(applevz_machine *machine, char **json, size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        AppleVZMachine *owner = applevz_borrowed(AppleVZMachine, machine);
        return [owner access:^NSError *_Nullable(VZVirtualMachine *object) {
            (void)object;
            NSError *error = nil;
            NSData *data = [NSJSONSerialization dataWithJSONObject:owner.statistics options:0 error:&error];
            if (data == nil)
                return error;
            *json = applevz_copy_data(data, length);
            return nil;
        }];
    });
}
