// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#include <limits.h>

@implementation VZMultipleDirectoryShare

- (instancetype)init {
    return [self initWithDirectories:@{}];
}

- (instancetype)initWithDirectories:(NSDictionary<NSString *, VZSharedDirectory *> *)directories {
    for (NSString *name in directories) {
        NSError *error = nil;
        if (![[self class] validateName:name error:&error]) {
            [NSException
                 raise:NSInvalidArgumentException
                format:@"*** -[%@ %@]: %@", [self class], NSStringFromSelector(_cmd), error.localizedFailureReason];
        }
    }
    if ((self = [super initForSubclass])) {
        _directories = [directories copy];
    }
    return self;
}

+ (BOOL)validateName:(NSString *)name error:(NSError **)error {
    NSData *bytes = name ? VZUTF8Data(name) : nil;
    NSUInteger length = bytes.length > 0 ? bytes.length - 1 : 0; // less the NUL that VZUTF8Data adds
    NSString *wrong = nil;
    if (!name) {
        wrong = @"nil";
    } else if (!bytes) {
        wrong = [VZQuoted(name) stringByAppendingString:@", which is not text in UTF-8"];
    } else if (length == 0) {
        wrong = @"empty";
    } else if ([name isEqualToString:@"."] || [name isEqualToString:@".."]) {
        wrong = [VZQuoted(name) stringByAppendingString:@", which is the name of a folder in every directory"];
    } else if (memchr(bytes.bytes, '/', length) || memchr(bytes.bytes, 0, length)) {
        wrong = [VZQuoted(name) stringByAppendingString:@", which has a slash or a NUL character in it"];
    } else if (length > NAME_MAX) {
        wrong = [NSString stringWithFormat:@"%@, which has %lu bytes in UTF-8", VZQuoted(name), (unsigned long)length];
    }
    return !wrong || VZRefuse(error, VZInvalidConfigurationError(
                                         [NSString stringWithFormat:@"The name of a shared directory is %@.", wrong],
                                         @"Use 1 to 255 bytes without a slash, such as +[VZMultipleDirectoryShare "
                                         @"canonicalizedNameFromName:] gives.",
                                         nil));
}

+ (NSString *)canonicalizedNameFromName:(NSString *)name {
    NSMutableString *result = [name mutableCopy];
    [result replaceOccurrencesOfString:@"/"
                            withString:@"-"
                               options:NSLiteralSearch
                                 range:NSMakeRange(0, result.length)];
    [result replaceOccurrencesOfString:@"\0"
                            withString:@"-"
                               options:NSLiteralSearch
                                 range:NSMakeRange(0, result.length)];
    while (result.length > 0 && VZUTF8Data(result).length > NAME_MAX + 1) {
        // A whole character, which may be of two UTF-16 units and more.
        [result deleteCharactersInRange:[result rangeOfComposedCharacterSequenceAtIndex:result.length - 1]];
    }
    return [self validateName:result error:NULL] ? [result copy] : nil;
}

- (BOOL)validateAs:(NSString *)property error:(NSError **)error {
    // In an order that does not change from one look to the next.
    for (NSString *name in [self.directories.allKeys sortedArrayUsingSelector:@selector(compare:)]) {
        NSString *directory = [NSString stringWithFormat:@"%@.directories[%@]", property, VZQuoted(name)];
        if (![self.directories[name] validateAs:directory error:error]) {
            return NO;
        }
    }
    return YES;
}

@end
