// SPDX-License-Identifier: Apache-2.0
/// The same descriptor with a number above the standard ones, close-on-exec. Takes it over. -1 with errno if it is
/// negative or cannot be moved. The standard numbers belong to the program, even if it has closed them: it may put a
/// file of its own there at any time.
int applevz_descriptor_above_standard(int descriptor);

#ifdef __OBJC__
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// A file handle with a descriptor of its own, since NSFileHandle does not duplicate and closes what it owns: the
/// caller's descriptor stays the caller's, this one is closed exactly once, with the handle. nil, with an error that
/// begins with `field`, for a descriptor that cannot be duplicated.
NSFileHandle *_Nullable applevz_duplicated_file_handle(int descriptor, NSString *field,
                                                       NSError *_Nullable *_Nonnull error);

NS_ASSUME_NONNULL_END
#endif
