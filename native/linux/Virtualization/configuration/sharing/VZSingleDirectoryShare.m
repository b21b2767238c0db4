// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"

@implementation VZSingleDirectoryShare

- (instancetype)initWithDirectory:(VZSharedDirectory *)directory {
    if (!directory) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: directory is nil", [self class], NSStringFromSelector(_cmd)];
    }
    if ((self = [super initForSubclass])) {
        _directory = directory;
    }
    return self;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return [self.directory validateAs:[property stringByAppendingString:@".directory"] error:error];
}

@end
