// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// What would fix it that a saved state's file cannot be written, or replaced, for that errno; nil where that is not
/// known.
NSString *_Nullable applevz_saving_suggestion(int number, BOOL overwriting);

NS_ASSUME_NONNULL_END
