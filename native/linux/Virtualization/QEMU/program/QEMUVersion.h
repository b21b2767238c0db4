// SPDX-License-Identifier: Apache-2.0
#import "host/HostSpawn.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The error for a QEMU of that version, nil for one that is supported. `greeting` is what it greets with over QMP.
NSError *_Nullable QEMUVersionErrorOfGreeting(NSDictionary *greeting);

/// The same of a program that ended before it greeted, by its --version. nil also where that tells nothing.
NSError *_Nullable QEMUVersionErrorOfProgram(NSString *path);

/// The version, "7.2", of a program by its --version. nil, with a VZErrorNotSupported that says why, where that tells
/// nothing, or not in time.
NSString *_Nullable QEMUVersionOfProgram(NSString *path, NSError **error);

/// The version, "7.2", of a greeting that has no error. The third number is left out: it changes nothing in what
/// machines are.
NSString *QEMUVersionOfGreeting(NSDictionary *greeting);

/// Whether a version as above is that one or a later one.
BOOL QEMUVersionIsAtLeast(NSString *version, int major, int minor);

/// What a program says of itself when it is asked for its version, within so many seconds; nil where it says nothing.
/// Takes a process of its own, which calls `prepare`, if there is one, before it becomes the program. `isLate` is
/// whether that was ended since its time was over.
NSString *_Nullable QEMUVersionTextOfProgram(NSString *path, NSTimeInterval seconds,
                                             host_child_function _Nullable prepare, void *_Nullable context,
                                             BOOL *_Nullable isLate);

NS_ASSUME_NONNULL_END
