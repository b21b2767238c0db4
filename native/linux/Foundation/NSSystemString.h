// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

/// The string as the system takes it, in UTF-8 whatever GNUstep takes for the encoding of its files' names; valid as
/// long as the innermost autorelease pool. NULL for one that the system cannot be given: with a NUL character, or half
/// a surrogate pair.
extern const char *_Nullable NSSystemString(NSString *_Nonnull string);
