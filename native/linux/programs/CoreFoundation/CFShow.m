// SPDX-License-Identifier: Apache-2.0
#import <CoreFoundation/types.h>
#include <stdio.h>

void CFShow(CFTypeRef object) {
    @autoreleasepool {
        NSString *text = object ? [(__bridge id)object description] : @"(null)";
        NSData *line = [[text stringByAppendingString:@"\n"] dataUsingEncoding:NSUTF8StringEncoding];
        fwrite(line.bytes, 1, line.length, stderr);
    }
}

CFAbsoluteTime CFAbsoluteTimeGetCurrent(void) {
    return NSDate.timeIntervalSinceReferenceDate;
}
