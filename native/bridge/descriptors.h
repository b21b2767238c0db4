// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// A file handle with a descriptor of its own, since NSFileHandle does not duplicate and closes what it owns: the caller's
/// descriptor stays the caller's, this one is closed exactly once, with the handle. nil, with an error that begins with
/// `field`, for a descriptor that cannot be duplicated.
NSFileHandle *_Nullable applevz_duplicated_file_handle(int descriptor, NSString *field, NSError *_Nullable *_Nonnull error);

NS_ASSUME_NONNULL_END
