// SPDX-License-Identifier: Apache-2.0
#import "host/HostSpawn.h"
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The error for a QEMU of that version, nil for one that is supported. `greeting` is what it greets with over QMP.
NSError *_Nullable QEMUVersionErrorOfGreeting(NSDictionary *greeting);

/// The same of a program that ended before it greeted, by its --version. nil also where that tells nothing.
NSError *_Nullable QEMUVersionErrorOfProgram(NSString *path);

/// The version, "7.2", of a program by its --version; nil where that tells nothing.
NSString *_Nullable QEMUVersionOfProgram(NSString *path);

/// The version, "7.2", of a greeting that has no error. The third number is left out: it changes nothing in what
/// machines are.
NSString *QEMUVersionOfGreeting(NSDictionary *greeting);

/// Whether a version as above is that one or a later one.
BOOL QEMUVersionIsAtLeast(NSString *version, int major, int minor);

/// What a program says of itself when it is asked for its version; nil where it says nothing. Takes a
/// process of its own, which calls `prepare`, if there is one, before it becomes the program.
NSString *_Nullable QEMUVersionTextOfProgram(NSString *path, host_child_function _Nullable prepare,
                                             void *_Nullable context);

NS_ASSUME_NONNULL_END
