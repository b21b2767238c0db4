// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostDirectory+Private.h"

@implementation VZSharedDirectory

- (instancetype)initWithURL:(NSURL *)url readOnly:(BOOL)readOnly {
    if (!url) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: url is nil", [self class], NSStringFromSelector(_cmd)];
    }
    if ((self = [super init])) {
        _URL = [url copy];
        _readOnly = readOnly;
    }
    return self;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    return [self openAs:property error:error] != nil;
}

- (VZHostDirectory *)openAs:(NSString *)property error:(NSError **)error {
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(self.URL, &reason);
    int errorNumber = 0;
    VZHostDirectory *directory =
        path ? [[VZHostDirectory alloc] initWithPath:path reason:&reason errorNumber:&errorNumber] : nil;
    if (!directory) {
        VZRefuse(error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@.URL %@.", property, reason],
                                                    @"Name an existing directory that this user may read.",
                                                    errorNumber ? VZSystemCallError(errorNumber, path) : nil));
    }
    return directory;
}

@end
