// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The text in `length` bytes of UTF-8. Where they are not UTF-8: an empty string, and *error names the field and the
/// offending bytes; an *error that is already set is kept.
NSString *applevz_text(const char *_Nullable bytes, size_t length, NSString *field, NSError *_Nullable *_Nonnull error);

/// The file URL of an absolute path, which must hold no NUL.
NSURL *_Nullable applevz_file_url(const char *_Nullable bytes, size_t length, NSString *field,
                                  NSError *_Nullable *_Nonnull error);

/// A copy for the caller to end with applevz_free; NULL for nil. One NUL follows the text, outside its length.
char *_Nullable applevz_copy_text(NSString *_Nullable text, size_t *length);

char *_Nullable applevz_copy_data(NSData *_Nullable data, size_t *length);

NS_ASSUME_NONNULL_END
