// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// The errno that an error stands for, whatever its domain is, and however deep beneath it the errno stands.

typedef struct applevz_condition {
    int64_t code; // errno; 0 if nothing stands for one
    bool certain; // false for one that is given for many faults, as ENOTSUP for an image that is missing
} applevz_condition;

enum applevz_error_domain applevz_number_of_domain(NSString *domain);

/// Of an error with that domain and code, by itself. `number` is that of the domain.
applevz_condition applevz_condition_of_code(enum applevz_error_domain number, NSString *domain, NSInteger code);

/// Of an error and all beneath it. Of several that are certain it is the first of NSPOSIXErrorDomain, or else the
/// first.
applevz_condition applevz_condition_of_error(NSError *error);

/// The file that the error names, or else the first beneath it that does: as a file's URL, or as a path. nil if none
/// does.
NSString *_Nullable applevz_file_of_error(NSError *error);

/// The error beneath it; of several the first that tells of an errno, or else the first.
NSError *_Nullable applevz_error_beneath(NSError *error);

NS_ASSUME_NONNULL_END
