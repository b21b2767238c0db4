// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The error of NSCocoaErrorDomain that Apple's Foundation makes of an errno of reading a file or, else, of changing
/// one. It names the file, where there is a path, and has the error of NSPOSIXErrorDomain below it.
extern NSError *NSErrorOfFile(int number, BOOL reading, NSString *_Nullable path);

NS_ASSUME_NONNULL_END
