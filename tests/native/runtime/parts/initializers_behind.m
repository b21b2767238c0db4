// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

@interface LinkedBehind : NSObject
+ (int)loads;
- (NSString *)text;
@end

static int loads;

@implementation LinkedBehind
+ (void)load {
    loads++;
}
+ (int)loads {
    return loads;
}
- (NSString *)text {
    return @"behind";
}
@end
