// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The beginning of the names that files have until they are whole. The number of the process follows, and then
/// characters that nobody can guess.
extern const char applevz_temporary_prefix[];

/// A name of this process for one file. It is in use until applevz_temporary_name_is_free.
NSString *applevz_new_temporary_name(void);
void applevz_temporary_name_is_free(NSString *name);

/// Removes what begins with that name from a folder: the file, and what a framework may have put beside it.
void applevz_remove_temporary(int folder, NSString *name);

/// Removes what nobody will give a name any more: this user's, of processes that ended, or of this one and not in use,
/// and without a change for a minute. Processes have the same number in two containers, or on two hosts, that share the
/// folder: a file that is still written is changed more often. Where one of those is removed all the same, its saving
/// fails.
///
/// Looks at a bounded number of names, since a machine's queue waits.
void applevz_remove_leftovers(int folder);

NS_ASSUME_NONNULL_END
