// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// Lines for whoever looks for a fault: what programs that run machines are told, and what they tell. They are kept here
// until they are asked for, and only while somebody wants them. Any thread may call these functions.

/// Whether lines are kept: where they are not, none needs to be made.
extern BOOL VZLogIsKept(void);

/// What is kept is bounded: of too many lines the oldest goes, and of a long one its end.
extern void VZLogText(NSString *source, NSString *kind, NSString *text);
/// The same of bytes that somebody else wrote.
extern void VZLogBytes(NSString *source, NSString *kind, const void *bytes, size_t length);
extern void VZLogWords(NSString *source, NSString *kind, NSArray<NSString *> *words);

extern void VZKeepLog(BOOL keep);
/// As AppleVZLog has them.
extern NSArray<NSArray *> *VZTakeLog(void);

NS_ASSUME_NONNULL_END
