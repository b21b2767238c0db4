// SPDX-License-Identifier: Apache-2.0
// Key-value observing and coding of classes that clang compiled.
#import "../checks.h"

@interface Machine : Counted
@property (nonatomic, copy) NSString *state;
@property long cpuCount;
@property (nonatomic) double load;
@end

@implementation Machine
@end

@interface Watcher : NSObject
@property (nonatomic, strong) NSMutableArray *seen;
@end

@implementation Watcher
- (instancetype)init {
    self = [super init];
    if (self) {
        _seen = [NSMutableArray array];
    }
    return self;
}
- (void)observeValueForKeyPath:(NSString *)path
                      ofObject:(id)object
                        change:(NSDictionary *)change
                       context:(void *)context {
    CHECK([object isKindOfClass:[Machine class]] && context == NULL);
    NSString *text = [NSString stringWithFormat:@"%@ %@", path, change[NSKeyValueChangeNewKey]];
    [self.seen addObject:text];
}
@end

int main(void) {
    @autoreleasepool {
        Watcher *watcher = [Watcher new];
        @autoreleasepool {
            Machine *machine = [Machine new];
            NSKeyValueObservingOptions options = NSKeyValueObservingOptionNew;
            [machine addObserver:watcher forKeyPath:@"state" options:options context:NULL];
            [machine addObserver:watcher forKeyPath:@"cpuCount" options:options context:NULL];
            machine.state = @"running";
            machine.cpuCount = 4;
            [machine setValue:@2.5 forKey:@"load"];
            [machine setValue:@"paused" forKey:@"state"];
            CHECK([machine class] == [Machine class]);
            CHECK(machine.load == 2.5 && [[machine valueForKey:@"cpuCount"] longValue] == 4);
            // A weak reference to an object whose class was exchanged for the observed one.
            __weak Machine *reference = machine;
            CHECK(reference == machine);
            [machine removeObserver:watcher forKeyPath:@"state"];
            [machine removeObserver:watcher forKeyPath:@"cpuCount"];
            machine.state = @"stopped";
        }
        CHECK_LIVE(0);
        NSArray *expected = @[ @"state running", @"cpuCount 4", @"state paused" ];
        CHECK([watcher.seen isEqual:expected]);
    }
    return 0;
}
