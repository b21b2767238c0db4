// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The domain of errors that the framework has no code for. The codes are those of enum applevz_bridge_error_code.
extern NSString *const AppleVZErrorDomain;

/// What the first text of an error is.
typedef enum applevz_error_opening {
    APPLEVZ_OPENS_WITH_DESCRIPTION,
    APPLEVZ_OPENS_WITH_FAILURE,
} applevz_error_opening;

/// Of texts that have words, or are nil.
NSError *applevz_error(NSString *domain, NSInteger code, NSString *_Nullable description, NSString *_Nullable reason,
                       NSString *_Nullable suggestion);

/// An error of the operating system; its words are those of its number.
NSError *applevz_posix_error(int number);

/// The one that has another error beneath it, or nil. The opening is a whole description, or a failure: that is what
/// the framework's own errors have, and Foundation makes the description of it and the reason.
NSError *applevz_error_with_cause(NSString *domain, NSInteger code, applevz_error_opening opening, NSString *text,
                                  NSString *reason, NSString *_Nullable suggestion, NSError *_Nullable cause);

/// The same error, with what the block changes in its user info.
NSError *applevz_changed_error(NSError *error, __attribute__((noescape)) void (^change)(NSMutableDictionary *));

/// An argument that was refused before the framework saw it.
NSError *applevz_invalid_argument(NSString *description, NSString *reason, NSString *suggestion);

/// The same, with a reason that is made each time that it is asked for: to make one takes longer than all else of the
/// error, which is mostly dropped unread. On whatever thread that is; it may use numbers and what does not change.
NSError *applevz_explained_invalid_argument(NSString *description, NSString *suggestion,
                                            NSString * (^explanation)(void));

/// The machine has not so many.
NSError *applevz_no_such_index(NSString *description, size_t index, NSUInteger count, NSString *suggestion);

/// For a framework that refuses a configuration and does not say why.
NSError *applevz_refused_without_reason(void);

/// For an initializer of the framework's that gave neither an object nor an error.
NSError *applevz_refused_without_error(NSString *what);

NSError *applevz_error_from_exception(NSException *exception);

NS_ASSUME_NONNULL_END
