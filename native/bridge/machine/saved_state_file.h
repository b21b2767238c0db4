// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The file of a saved state that is whole or not there, for a framework that does not promise that itself: it may
/// leave half a file if saving fails.
///
/// The file is written under another name in the same folder, hidden and not to be guessed. Once it is whole it gets
/// its own name, in one step: exclusively, or in place of the file that has it. A failure leaves nothing, and this
/// object's end removes a file that was not published. Nothing waits until the file is on the disk.
///
/// Only the end of the process can leave a file. The next process that saves into the folder removes it
/// (saved_state_leftovers.h).
///
/// Errors are of VZErrorSave, with an errno beneath, and name the file's own path. It is used on a machine's queue. Its
/// end may come on any thread.
@interface AppleVZSavedStateFile : NSObject

/// A URL that applevz_file_url made.
- (instancetype)initWithURL:(NSURL *)url overwriting:(BOOL)overwriting NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// Where the framework is to write.
@property (readonly) NSURL *temporaryURL;

/// Comes before the writing: opens the folder, in which everything else happens, wherever it is moved meanwhile, and
/// removes what ended processes left there. Gives the reason why no file can have the name; nil if one can, as far as
/// can be seen.
- (nullable NSError *)prepare;

/// Gives the whole file its name. nil, or why that cannot be; it is gone then.
- (nullable NSError *)publish;

/// Removes what was written, and gives the framework's error as one of the file that was to be.
- (NSError *)giveUpWithError:(NSError *)failure;

/// Removes what was written after it was given up.
- (void)removeAgain;

@end

NS_ASSUME_NONNULL_END
