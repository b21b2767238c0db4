// SPDX-License-Identifier: Apache-2.0
// The log: kept only while it is wanted, bounded, in order, and safe for any thread.
#import "virtualization_support.h"
#import "support/VZLog+Private.h"
#include <pthread.h>

enum { MOST = 4096, LONGEST = 8192, THREADS = 4, ROUNDS = 3000 };

static NSArray *last(void) {
    return VZTakeLog().lastObject;
}

static void onlyWhatIsWantedIsKept(void) {
    VZLogText(@"a", @"b", @"before");
    CHECK(!VZLogIsKept() && VZTakeLog().count == 0);
    VZKeepLog(YES);
    VZKeepLog(YES);
    VZLogText(@"a", @"b", @"kept");
    VZLogWords(@"a", @"c", @[ @"one", @"two" ]);
    NSArray<NSArray *> *lines = VZTakeLog();
    CHECK(lines.count == 2 && [lines[0][0] doubleValue] > 1e9);
    CHECK([[lines[0] subarrayWithRange:NSMakeRange(1, 3)] isEqual:(@[ @"a", @"b", @"kept" ])]);
    CHECK([lines[1][3] isEqual:(@[ @"one", @"two" ])]);
    CHECK(VZTakeLog().count == 0);
    VZLogText(@"a", @"b", @"forgotten");
    VZKeepLog(NO);
    VZKeepLog(YES);
    CHECK(VZTakeLog().count == 0);
}

static void theOldestIsLostAndTheEndOfWhatIsLong(void) {
    for (int i = 0; i < MOST + 10; i++)
        VZLogText(@"a", @"b", [NSString stringWithFormat:@"%d", i]);
    NSArray<NSArray *> *lines = VZTakeLog();
    CHECK(lines.count == MOST && [lines[0][3] isEqual:@"10"] && [lines.lastObject[3] intValue] == MOST + 9);
    char bytes[LONGEST + 10];
    memset(bytes, 'x', sizeof bytes);
    VZLogBytes(@"a", @"b", bytes, sizeof bytes);
    CHECK([last()[3] length] == LONGEST);
    VZLogText(@"a", @"b", [@"" stringByPaddingToLength:LONGEST + 10 withString:@"x" startingAtIndex:0]);
    CHECK([last()[3] length] == LONGEST);
    // A character of two units is not cut in half.
    NSString *pairs = [@"y" stringByPaddingToLength:LONGEST + 11 withString:@"\U0001f600" startingAtIndex:0];
    VZLogText(@"a", @"b", pairs);
    CHECK([last()[3] canBeConvertedToEncoding:NSUTF8StringEncoding]);
    // No text, and yet shown.
    VZLogBytes(@"a", @"b", "\xff\0x", 3);
    CHECK([last()[3] length] == 3);
}

static void *write_lines(void *argument) {
    NSString *source = [NSString stringWithFormat:@"%ld", (long)argument];
    for (int i = 0; i < ROUNDS; i++)
        @autoreleasepool {
            VZLogText(source, @"b", [NSString stringWithFormat:@"%d", i]);
            if (i % 500 == 250)
                VZKeepLog((i / 500) % 2 == 0);
        }
    return NULL;
}

static void anyThreadMayWrite(void) {
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, write_lines, (void *)i) == 0);
    NSMutableDictionary<NSString *, NSNumber *> *seen = [NSMutableDictionary dictionary];
    for (int i = 0; i < 1000; i++)
        @autoreleasepool {
            // Those of one thread are in its order.
            for (NSArray *line in VZTakeLog()) {
                CHECK(seen[line[1]] == nil || seen[line[1]].intValue < [line[3] intValue]);
                seen[line[1]] = @([line[3] intValue]);
            }
        }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    VZKeepLog(NO);
    CHECK(VZTakeLog().count == 0);
}

int main(void) {
    @autoreleasepool {
        onlyWhatIsWantedIsKept();
        theOldestIsLostAndTheEndOfWhatIsLong();
        anyThreadMayWrite();
    }
    return 0;
}
