// SPDX-License-Identifier: Apache-2.0
// Paths of files, which Linux has as bytes and Foundation as text. A byte of a path that is not part of a character in
// UTF-8 stands in its text as U+10F700 and itself, a character for private use; of that character itself, so do its
// bytes. So every path has a text, and no two the same, and goes back to its bytes. (Python has half surrogate pairs
// for it, PEP 383, of which GNUstep makes no strings.) Foundation's own functions for paths are not for those of a
// user's: they take a backslash for a separator too, and the encoding of the locale, or of the environment, for that of
// the names.
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// The path that url means, from the root. nil if it means none: not a file URL, or one with a NUL character, at which
/// the system would take the path to end. reason then completes a sentence that begins with the property's name.
extern NSString *_Nullable VZPathOfFileURL(NSURL *_Nullable url, NSString *_Nullable __autoreleasing *_Nonnull reason);

/// The path as an error shows it, quoted; of a URL that means none, that.
extern NSString *VZQuotedPathOfFileURL(NSURL *_Nullable url);

/// The absolute path of what url means in the end, past symbolic links; where that is not there, or no longer, the path
/// that url means. nil if it means none.
extern NSString *_Nullable VZResolvedPathOfFileURL(NSURL *_Nullable url);

/// The text of the path with these bytes.
extern NSString *VZPathWithBytes(const char *bytes);

/// The path as a URL has it: what is not a letter, a digit or one of /-._~ as % and its number.
extern NSString *VZEscapedPath(const char *bytes);

/// The path with each byte that is no text as \xNN, for an error's text.
extern NSString *VZPathWithShownBytes(NSString *path);

/// The path that an environment variable has at this moment; nil where it has none.
extern NSString *_Nullable VZPathInEnvironment(const char *variable);

/// The bytes of a path that was made by one of these functions, or is text in UTF-8, as system calls take it. They last
/// as long as the current autorelease pool.
extern const char *VZBytesOfPath(NSString *path);

/// The folder that the last component of path is in, with a slash at its end unless the path has none, and that
/// component, which is empty for a path with a slash at its end.
extern NSString *VZFolderOfPath(NSString *path, NSString *_Nonnull __autoreleasing *_Nullable name);

NS_ASSUME_NONNULL_END
