// SPDX-License-Identifier: Apache-2.0
// For the programs that test the runtime layer: checks, and a class that counts its instances.
#import <Foundation/Foundation.h>
#import <objc/runtime.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHECK(condition) check(!!(condition), #condition, __FILE__, __LINE__)
#define CHECK_LIVE(count) checkLive((count), __FILE__, __LINE__)

static inline void check(bool holds, const char *condition, const char *file, int line) {
    if (!holds) {
        fprintf(stderr, "%s:%d: %s does not hold\n", file, line, condition);
        exit(1);
    }
}

static atomic_long liveInstances;

// How many of these exist is known at any time, and a message to one that does not is told from one to one that does.
@interface Counted : NSObject {
    unsigned _canary;
}
@property (nonatomic, strong) id child;
@property (nonatomic) int number;
- (int)alive;
@end

static const unsigned liveCanary = 0x600df00d;

@implementation Counted
- (instancetype)init {
    self = [super init];
    if (self) {
        _canary = liveCanary;
        atomic_fetch_add(&liveInstances, 1);
    }
    return self;
}

- (int)alive {
    check(_canary == liveCanary, "the object is alive", __FILE__, __LINE__);
    return _number;
}

- (void)dealloc {
    check(_canary == liveCanary, "the object is deallocated once", __FILE__, __LINE__);
    _canary = 0;
    atomic_fetch_sub(&liveInstances, 1);
}
@end

static inline void checkLive(long expected, const char *file, int line) {
    long live = atomic_load(&liveInstances);
    if (live != expected) {
        fprintf(stderr, "%s:%d: %ld objects are alive, not %ld\n", file, line, live, expected);
        exit(1);
    }
}

static inline long residentKilobytes(void) {
    long total = 0;
    long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    check(file && fscanf(file, "%ld %ld", &total, &resident) == 2, "/proc/self/statm can be read", __FILE__, __LINE__);
    fclose(file);
    return resident * 4;
}
