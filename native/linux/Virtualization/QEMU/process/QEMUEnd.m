// SPDX-License-Identifier: Apache-2.0
#import "QEMUEnd.h"
#import "support/VZErrors+Private.h"
#import <errno.h>
#import <shown_text.h>
#import <string.h>

NSString *const QEMUStartFailure = @"The virtual machine failed to start.";
NSString *const QEMUStopFailure = @"The virtual machine stopped unexpectedly.";

@implementation QEMUEnd {
    host_exit _exit;
    NSError *_failure;
    NSString *_lastWords;
}

- (instancetype)initWithExit:(host_exit)exit failure:(NSError *)failure lastWords:(NSString *)lastWords {
    self = [super init];
    if (self != nil) {
        _exit = exit;
        _failure = failure;
        _lastWords = [lastWords stringByTrimmingCharactersInSet:[NSCharacterSet whitespaceAndNewlineCharacterSet]];
    }
    return self;
}

- (BOOL)isClean {
    return _failure == nil && (!_exit.known || (!_exit.signalled && _exit.status == 0));
}

- (NSString *)how {
    if (!_exit.known)
        return @"QEMU ended in a way that is not known, since another part of this process waited for it";
    if (_exit.signalled)
        return [NSString stringWithFormat:@"QEMU was killed by signal %d (%s)", _exit.status, strsignal(_exit.status)];
    return [NSString stringWithFormat:@"QEMU ended with exit status %d", _exit.status];
}

- (NSString *)reason {
    NSString *reason = _failure != nil ? _failure.localizedFailureReason ?: _failure.localizedDescription : [self how];
    if (_lastWords.length == 0)
        return [reason hasSuffix:@"."] ? reason : [reason stringByAppendingString:@"."];
    if ([reason hasSuffix:@"."])
        reason = [reason substringToIndex:reason.length - 1];
    return [NSString stringWithFormat:@"%@. Its last words: %@", reason, applevz_shown_words(_lastWords)];
}

- (BOOL)lackedMemory {
    return [_lastWords rangeOfString:@"annot allocate memory"].location != NSNotFound ||
           [_lastWords rangeOfString:@"cannot set up guest memory"].location != NSNotFound;
}

- (NSError *)startError {
    if ([self lackedMemory])
        return VZErrorWithReason(VZErrorInternal, QEMUStartFailure,
                                 [@"There is not enough memory to start it: " stringByAppendingString:[self reason]],
                                 @"Give the machine a smaller memorySize, or free memory on the host (a limit of this "
                                 @"process's, as by ulimit -v, counts too).",
                                 VZSystemCallError(ENOMEM, nil));
    if (_failure == nil && self.explanation != nil)
        return self.explanation;
    return VZErrorWithReason(VZErrorInternal, QEMUStartFailure, [self reason], nil, _failure);
}

- (NSError *)stopError {
    return VZErrorWithReason(VZErrorInternal, QEMUStopFailure, [self reason],
                             @"Start it again; its disks are as after a power failure.", _failure);
}

@end
