// SPDX-License-Identifier: Apache-2.0
// A superclass in one file and its subclasses in others, which the linker puts in front of it.
#import <Foundation/Foundation.h>

@interface LayoutBase : NSObject {
  @public
    char _first;
  @private
    long _hidden[5];
}
@property (nonatomic, strong) id held;
- (long)hiddenSum;
@end
