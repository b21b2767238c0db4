// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The domain of what the framework has no code for; codes are those of enum applevz_bridge_error_code.
extern NSString *const AppleVZErrorDomain;

NSError *applevz_error(NSString *domain, NSInteger code, NSString *description, NSString *_Nullable reason,
                       NSString *_Nullable suggestion);

/// An argument that was refused before the framework saw it.
NSError *applevz_invalid_argument(NSString *description, NSString *reason, NSString *suggestion);

/// For a framework that refuses a configuration and does not say why.
NSError *applevz_refused_without_reason(void);

/// For an initializer of the framework's that gave neither an object nor an error.
NSError *applevz_refused_without_error(NSString *what);

NSError *applevz_error_from_exception(NSException *exception);

NS_ASSUME_NONNULL_END
