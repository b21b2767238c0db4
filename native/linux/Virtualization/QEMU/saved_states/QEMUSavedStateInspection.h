// SPDX-License-Identifier: Apache-2.0
#import "QEMUSavedState.h"
#import "applevz_extensions.h"

NS_ASSUME_NONNULL_BEGIN

/// A saved state that is looked into, without a machine.
@interface QEMUSavedStateInspection : NSObject <AppleVZSavedState>
/// As initForReadingPath:isState:error: of QEMUSavedState.
- (nullable instancetype)initWithPath:(NSString *)path
                              isState:(BOOL *)isState
                                error:(NSError **)error NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;
@end

NS_ASSUME_NONNULL_END
