// SPDX-License-Identifier: Apache-2.0
#ifndef SHOWN_TEXT_H
#define SHOWN_TEXT_H

#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// So long may what others say be in an error's text.
enum { APPLEVZ_LONGEST_SHOWN = 1000 };

/// What somebody else wrote, for an error's text, which programs print to terminals and logs: control characters and
/// those that change the direction of what follows are escaped ("\u001b"), and the middle of what is longer than
/// `longest` is left out. Ends of lines stay where they are kept.
NSString *applevz_shown_text(NSString *text, NSUInteger longest, BOOL keepsLines);

/// Several lines of another program's, of at most APPLEVZ_LONGEST_SHOWN characters.
NSString *applevz_shown_words(NSString *words);

NS_ASSUME_NONNULL_END

#endif
