// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

/// The class of tasks, in the place of GNUstep's, which takes SIGCHLD for the whole process, forks, and knows neither
/// URLs nor errors.
@interface NSConcreteTask : NSTask
@end
