// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The text in `length` bytes of UTF-8. If they are not UTF-8, it is an empty string, and *error names the field and
/// the offending bytes. An *error that is already set is kept.
NSString *applevz_text(const char *_Nullable bytes, size_t length, NSString *field, NSError *_Nullable *_Nonnull error);

/// The bytes as they can be shown: what is not printable ASCII as \xNN, at most the first 120.
NSString *applevz_shown_bytes(const char *bytes, size_t length);

/// The file URL of an absolute path, which must hold no NUL, and need not be text in UTF-8.
NSURL *_Nullable applevz_file_url(const char *_Nullable bytes, size_t length, NSString *field,
                                  NSError *_Nullable *_Nonnull error);

/// The bytes of a file URL's path, whatever they are; nil for a URL that is not a file's.
NSData *_Nullable applevz_path_of_file_url(NSURL *_Nullable url);

/// The bytes that text stands for in which some are escaped, as "%2F".
NSData *applevz_unescaped(NSString *text);

/// A copy for the caller to end with applevz_free; NULL for nil. One NUL follows the text, outside its length.
char *_Nullable applevz_copy_text(NSString *_Nullable text, size_t *length);

/// The same of bytes.
char *_Nullable applevz_copy_bytes(const void *bytes, size_t count, size_t *length);

char *_Nullable applevz_copy_data(NSData *_Nullable data, size_t *length);

NS_ASSUME_NONNULL_END
