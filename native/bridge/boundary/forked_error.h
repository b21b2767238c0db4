// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import <Foundation/Foundation.h>

// The error of every call in a forked child. Nothing of Objective-C runs there: on a Mac the runtime ends a process
// that sends a class its first message after a fork, and nobody promises which classes had one before. So the parent
// makes the error, with all that can be read of it, and the child gets it as it is.

NS_ASSUME_NONNULL_BEGIN

/// Makes it, before there is anything that a child could inherit. Another time nothing happens. Any thread may call it.
void applevz_forked_error_prepare(void);

/// With a reference of its own, which is counted in the object: no class is asked for anything.
CFErrorRef applevz_forked_error_copy(void) CF_RETURNS_RETAINED;

bool applevz_is_forked_error(CFErrorRef error);

uint64_t applevz_forked_error_kind(void);

/// As applevz_error_copy_text.
char *_Nullable applevz_forked_error_copy_text(enum applevz_error_text which, size_t *length);

NS_ASSUME_NONNULL_END
