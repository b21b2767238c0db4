// SPDX-License-Identifier: Apache-2.0
#import <CoreFoundation/types.h>

CFTypeID CFRunLoopGetTypeID(void) {
    return CFTypeOther;
}

void CFRunLoopPerformBlock(CFRunLoopRef runLoop, CFTypeRef mode, void (^block)(void)) {
    CFRequire(runLoop);
    CFRequire(mode);
    @autoreleasepool {
        id modes = (__bridge id)mode;
        [CFRunLoopGetNSRunLoop(runLoop) performInModes:[modes isKindOfClass:[NSArray class]] ? modes : @[ modes ]
                                                 block:block];
    }
}
