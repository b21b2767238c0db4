// SPDX-License-Identifier: Apache-2.0
#import "../runtime_classes.h"

@implementation LayoutBase
- (instancetype)init {
    self = [super init];
    if (self) {
        for (int i = 0; i < 5; i++) {
            _hidden[i] = i;
        }
    }
    return self;
}
- (long)hiddenSum {
    return _hidden[0] + _hidden[1] + _hidden[2] + _hidden[3] + _hidden[4];
}
@end
