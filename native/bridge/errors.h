// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The domain of what the framework has no code for; codes are those of enum applevz_bridge_error_code.
extern NSString *const AppleVZErrorDomain;

/// Of texts that have words, or are nil.
NSError *applevz_error(NSString *domain, NSInteger code, NSString *_Nullable description, NSString *_Nullable reason,
                       NSString *_Nullable suggestion);

/// An argument that was refused before the framework saw it.
NSError *applevz_invalid_argument(NSString *description, NSString *reason, NSString *suggestion);

/// The same, with a reason that is made each time that it is asked for: to make one takes longer than all else of the error,
/// which is mostly dropped unread. On whatever thread that is; it may use numbers and what does not change.
NSError *applevz_explained_invalid_argument(NSString *description, NSString *suggestion, NSString *(^explanation)(void));

/// The machine has not so many.
NSError *applevz_no_such_index(NSString *description, size_t index, NSUInteger count, NSString *suggestion);

/// For a framework that refuses a configuration and does not say why.
NSError *applevz_refused_without_reason(void);

/// For an initializer of the framework's that gave neither an object nor an error.
NSError *applevz_refused_without_error(NSString *what);

NSError *applevz_error_from_exception(NSException *exception);

NS_ASSUME_NONNULL_END
