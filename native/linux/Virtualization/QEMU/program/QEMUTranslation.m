// SPDX-License-Identifier: Apache-2.0
#import "QEMUTranslation.h"
#import "QEMUProgram.h"
#import "QEMUVersion.h"

// The first release of which several threads translate what other ones change.
enum { THREADS_MAJOR = 8, THREADS_MINOR = 2 };

static BOOL threads_are_safe(void) {
    // What each program said, by its identity: a machine's start is not to wait for one more process.
    static NSMutableDictionary<NSString *, NSNumber *> *answers;
    NSString *path = [QEMUProgram pathWithError:NULL];
    if (path == nil)
        return YES; // Nothing is started.
    NSString *identity = [QEMUProgram identityOfPath:path];
    @synchronized([QEMUProgram class]) {
        answers = answers ?: [NSMutableDictionary dictionary];
        NSNumber *answer = answers[identity];
        if (answer != nil)
            return answer.boolValue;
    }
    NSString *version = QEMUVersionOfProgram(path, NULL);
    BOOL safe = version != nil && QEMUVersionIsAtLeast(version, THREADS_MAJOR, THREADS_MINOR);
    @synchronized([QEMUProgram class]) {
        // One that could not be started at this moment says something else later.
        if (version != nil)
            answers[identity] = @(safe);
    }
    return safe;
}

NSString *QEMUEmulatingAccelerator(NSUInteger processors) {
    return processors < 2 || threads_are_safe() ? @"tcg" : @"tcg,thread=single";
}
