// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// Keeps an error of the framework's own, before the bridge adds to it or replaces it, if applevz_keep_refusals asked
/// for that.
void applevz_note_refusal(NSError *_Nullable error);

NS_ASSUME_NONNULL_END
