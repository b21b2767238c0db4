// SPDX-License-Identifier: Apache-2.0
// Every message that the library sends, for topics that look at them.
#import "policy.h"

NS_ASSUME_NONNULL_BEGIN

/// Whether this is a process that was forked from one with machines, where the policy is "fork": "strict".
extern BOOL played_mac_is_forked_child;

/// Ends such a process with these words and the calls that led here, if the program's call led here. It sends no
/// message and takes no lock.
void played_mac_refuse_in_child(const char *what, const char *name, const char *of);

NS_ASSUME_NONNULL_END
