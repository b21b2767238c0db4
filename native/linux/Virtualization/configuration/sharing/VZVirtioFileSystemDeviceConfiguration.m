// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"

// The device has 36 bytes for it; the framework leaves one of them.
enum { longestTag = 35 };

@implementation VZVirtioFileSystemDeviceConfiguration {
    NSString *_tag;
}

- (instancetype)initWithTag:(NSString *)tag {
    if ((self = [super initForSubclass])) {
        self.tag = tag;
    }
    return self;
}

- (id)copyWithZone:(NSZone *)zone {
    VZVirtioFileSystemDeviceConfiguration *copy = [super copyWithZone:zone];
    copy->_tag = _tag;
    copy.share = self.share;
    return copy;
}

+ (NSString *)macOSGuestAutomountTag {
    return @"com.apple.virtio-fs.automount";
}

+ (BOOL)validateTag:(NSString *)tag error:(NSError **)error {
    return [self validateTag:tag as:@"tag" error:error];
}

+ (BOOL)validateTag:(NSString *)tag as:(NSString *)property error:(NSError **)error {
    NSData *bytes = tag ? VZUTF8Data(tag) : nil;
    NSUInteger length = bytes.length > 0 ? bytes.length - 1 : 0; // less the NUL that VZUTF8Data adds
    NSString *wrong = nil;
    if (!tag) {
        wrong = @"nil";
    } else if (!bytes) {
        wrong = [VZQuoted(tag) stringByAppendingString:@", which is not text in UTF-8"];
    } else if (length == 0) {
        wrong = @"empty";
    } else if (memchr(bytes.bytes, 0, length)) {
        wrong = [VZQuoted(tag) stringByAppendingString:@", which has a NUL character in it"];
    } else if (length > longestTag) {
        wrong = [NSString stringWithFormat:@"%@, which has %lu bytes in UTF-8", VZQuoted(tag), (unsigned long)length];
    }
    return !wrong ||
           VZRefuse(error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@ is %@.", property, wrong],
                                                       @"Use a name of 1 to 35 bytes, such as \"share\".", nil));
}

- (NSString *)tag {
    return _tag;
}

- (void)setTag:(NSString *)tag {
    NSError *error = nil;
    if (![[self class] validateTag:tag error:&error]) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: %@", [self class], NSStringFromSelector(_cmd), error.localizedFailureReason];
    }
    _tag = [tag copy];
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    if (![[self class] validateTag:self.tag as:[property stringByAppendingString:@".tag"] error:error]) {
        return NO;
    }
    return !self.share || [self.share validateAs:[property stringByAppendingString:@".share"] error:error];
}

@end
