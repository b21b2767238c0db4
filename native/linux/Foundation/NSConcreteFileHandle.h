// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The class of file handles, in the place of GNUstep's, which does to a descriptor what its other users do not expect:
/// it makes it non-blocking for every process that shares it, an end of one handle takes the descriptor's watch in the
/// run loop away from the others, and a handle that was never given one ends as if it had descriptor 0.
@interface NSConcreteFileHandle : NSFileHandle

/// What can be read now, waiting until there is something; empty at the end.
- (nullable NSData *)availableDataWithError:(NSError **)error;

@end

@interface NSConcreteFileHandle (Exceptions)
- (void)raise:(NSError *)error in:(SEL)selector __attribute__((noreturn));
@end

/// The one for the null device, which cannot be closed.
@interface NSNullFileHandle : NSConcreteFileHandle
@end

/// One operation in the background, of the run loop of the thread that began it.
@interface NSFileHandleOperation : NSObject

/// `step` is called in one of the modes of this thread's run loop whenever the descriptor has something to read, until
/// it returns YES. Keeps itself until then, by the run loop. nil, with errno, where the descriptor cannot be watched.
- (nullable instancetype)initWithDescriptor:(int)descriptor
                                      modes:(nullable NSArray<NSString *> *)modes
                                       step:(BOOL (^)(int descriptor))step NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// From any thread; `step` is not called any more once its thread has seen this.
- (void)cancel;

@end

NS_ASSUME_NONNULL_END
