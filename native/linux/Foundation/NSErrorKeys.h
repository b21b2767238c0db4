// SPDX-License-Identifier: Apache-2.0
// The keys of an error's user info have Apple's values here ("NSLocalizedDescription"), which programs write out and
// which errors carry that come from elsewhere. GNUstep's have others, of which CoreFoundation/NSError+UserInfo.m takes
// care.
#ifndef APPLEVZ_NSERRORKEYS_H
#define APPLEVZ_NSERRORKEYS_H

#import <Foundation/NSError.h>

// The library of frameworks shows these, before GNUstep's of the same names.
#if defined(APPLEVZ_FRAMEWORKS)
#define NSERROR_KEY FOUNDATION_EXPORT __attribute__((visibility("default"))) NSString *const
#else
#define NSERROR_KEY FOUNDATION_EXPORT NSString *const
#endif

NSERROR_KEY NSLocalizedDescriptionKey;
NSERROR_KEY NSLocalizedFailureReasonErrorKey;
NSERROR_KEY NSLocalizedRecoverySuggestionErrorKey;
NSERROR_KEY NSLocalizedRecoveryOptionsErrorKey;
NSERROR_KEY NSRecoveryAttempterErrorKey;
NSERROR_KEY NSUnderlyingErrorKey;
NSERROR_KEY NSFilePathErrorKey;
NSERROR_KEY NSURLErrorKey;
NSERROR_KEY NSStringEncodingErrorKey;

// What GNUstep 1.28 has not.
/// What could not be done, in a sentence. With the reason it describes an error that has no description.
NSERROR_KEY NSLocalizedFailureErrorKey;
NSERROR_KEY NSDebugDescriptionErrorKey;
NSERROR_KEY NSHelpAnchorErrorKey;
NSERROR_KEY NSMultipleUnderlyingErrorsKey;

#undef NSERROR_KEY

#endif
