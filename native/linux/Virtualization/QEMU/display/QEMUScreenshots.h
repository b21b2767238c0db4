// SPDX-License-Identifier: Apache-2.0
#import "QEMU/process/QEMUInstance.h"

NS_ASSUME_NONNULL_BEGIN

/// What one QEMU's display shows, as pictures. QEMU writes each into one file without a name that it inherited, so they
/// are taken one after the other. Everything happens on the instance's queue.
@interface QEMUScreenshots : NSObject

/// The instance was started with a graphics device, and is ready.
- (instancetype)initWithInstance:(QEMUInstance *)instance NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// Completes once, with the descriptor of a file without a name that holds a PNG image, from its beginning: the
/// caller's. -1 with an error.
- (void)takeWithCompletion:(void (^)(int descriptor, NSError *_Nullable error))completion;

@end

NS_ASSUME_NONNULL_END
