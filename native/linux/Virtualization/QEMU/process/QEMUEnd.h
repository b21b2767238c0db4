// SPDX-License-Identifier: Apache-2.0
#import "host/HostSpawn.h"
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// What happened, as Apple's framework has it in its errors.
extern NSString *const QEMUStartFailure;
extern NSString *const QEMUStopFailure;

/// How a QEMU process ended.
@interface QEMUEnd : NSObject

/// `failure`: why it was ended from here, if it was not well. `lastWords`: what it wrote to its standard error.
- (instancetype)initWithExit:(host_exit)exit
                     failure:(nullable NSError *)failure
                   lastWords:(NSString *)lastWords NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// It ended by itself, saying that all is well; or what it said was taken by another part of this process that waited
/// for it, and nothing speaks against it.
@property (readonly) BOOL isClean;

/// What the last words mean, where somebody knows: the error for a machine that did not get to run.
@property (nullable) NSError *explanation;

/// An error for a machine that did not get to run.
- (NSError *)startError;

/// An error for a machine that ran.
- (NSError *)stopError;

@end

NS_ASSUME_NONNULL_END
