// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// The refusals that come of what this process is. Another process on the same host would not be refused: it may have
// the entitlement in its code signature, and Rosetta may not translate it.

/// The reason why this process can run no machine, whatever the host can; nil if none is known.
NSError *_Nullable applevz_process_refusal(void);

/// The reason why this process can connect no card to a network of the host's; nil if none is known.
NSError *_Nullable applevz_process_refusal_of_bridges(void);

/// The error with what would fix it as its suggestion, if it is the process that the framework refused: it gives the
/// same code for an entitlement that is missing as for a configuration that is not valid. Otherwise, and for nil, the
/// error itself.
NSError *_Nullable applevz_error_with_process_cure(NSError *_Nullable error);

NS_ASSUME_NONNULL_END
