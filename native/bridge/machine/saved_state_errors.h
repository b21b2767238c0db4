// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// VZErrorSave: the file cannot be written, or replaced. The errno is beneath, unless it is 0. The words stand in place
/// of the system's.
NSError *applevz_save_error(NSURL *url, BOOL replacing, int number, NSString *_Nullable words,
                            NSString *_Nullable suggestion);

/// The error, with all that tells of the file by its temporary name telling of it by its own.
NSError *applevz_error_of_named_file(NSError *error, NSString *temporary_name, NSURL *url);

/// Why a framework should not try to read a saved state from there: there is none, or reading it may wait for ever. nil
/// where it may.
NSError *_Nullable applevz_error_of_saved_state(NSURL *url);

/// The framework's error as one that says which file could not be restored, and what can be seen of it.
NSError *applevz_restore_error(NSError *error, NSURL *url);

NS_ASSUME_NONNULL_END
