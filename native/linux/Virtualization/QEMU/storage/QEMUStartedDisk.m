// SPDX-License-Identifier: Apache-2.0
#import "QEMUStartedDisk.h"
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "support/VZNetworkBlockDeviceURL+Private.h"
#import "QEMU/process/QEMUEnd.h"
#import <errno.h>
#import <shown_text.h>

/// QEMU's words with the path of the server's socket that its user knows.
static NSString *with_socket_path(NSString *words, NSString *path) {
    NSRange place = path != nil ? [words rangeOfString:@"'/proc/self/fd/"] : NSMakeRange(NSNotFound, 0);
    if (place.location == NSNotFound)
        return words;
    NSUInteger after = NSMaxRange(place);
    NSRange end = [words rangeOfString:@"'" options:NSLiteralSearch range:NSMakeRange(after, words.length - after)];
    if (end.location == NSNotFound)
        return words;
    return [words stringByReplacingCharactersInRange:NSMakeRange(place.location, NSMaxRange(end) - place.location)
                                          withString:[NSString stringWithFormat:@"'%@'", path]];
}

NSError *QEMUNegotiationError(NSString *description, NSString *property,
                              VZNetworkBlockDeviceStorageDeviceAttachment *attachment, NSString *words) {
    NSArray<NSString *> *lines =
        [with_socket_path(words, attachment.server.socketPath) componentsSeparatedByString:@"\n"];
    // QEMU has the system's words for what the system said, but for a time-out that is its own.
    static const int numbers[] = {ECONNREFUSED, ENOENT,     EACCES,    ENETUNREACH,
                                  EHOSTUNREACH, ECONNRESET, ETIMEDOUT, EPIPE};
    int found = [lines[0] rangeOfString:@"cancelled by timeout"].location != NSNotFound ? ETIMEDOUT : 0;
    for (size_t i = 0; found == 0 && i < sizeof numbers / sizeof numbers[0]; i++)
        if ([lines[0] hasSuffix:VZSystemCallErrorText(numbers[i])])
            found = numbers[i];
    NSString *said = applevz_shown_words([lines componentsJoinedByString:@"; "]);
    return VZErrorWithReason(
        VZErrorNetworkBlockDeviceNegotiationFailed, description,
        [NSString stringWithFormat:@"%@ is %@, and there is no such disk: %@.", property,
                                   VZQuoted(attachment.URL.absoluteString), said],
        @"See to it that its server runs, can be reached from this host and gives out that export, without TLS.",
        found != 0 ? VZSystemCallError(found, nil) : nil);
}

NSError *QEMULockedDiskError(NSString *property, NSString *shown, NSString *words) {
    // Of a lock that others may have, too, it says that it is "shared".
    if ([words rangeOfString:@"Failed to get "].location == NSNotFound ||
        [words rangeOfString:@"\" lock"].location == NSNotFound)
        return nil;
    return VZInvalidDiskImageError(
        [NSString stringWithFormat:@"%@ is %@, which another process uses, such as the QEMU of a machine that runs.",
                                   property, shown],
        @"Stop that machine first, or give each machine a file of its own. Several may use one that all of them only "
        @"read.",
        VZSystemCallError(EBUSY, nil));
}

@implementation QEMUStartedDisk {
    NSString *_property;
    NSString *_shown;
    NSString *_node;
    NSString *_option;
    NSArray<NSString *> *_paths;
    VZStorageDeviceAttachment *_attachment;
}

- (instancetype)initWithProperty:(NSString *)property
                           shown:(NSString *)shown
                            node:(NSString *)node
                          option:(NSString *)option
                           paths:(NSArray<NSString *> *)paths
                      attachment:(VZStorageDeviceAttachment *)attachment {
    self = [super init];
    if (self != nil) {
        _property = property;
        _shown = shown;
        _node = node;
        _option = option;
        _paths = paths;
        _attachment = attachment;
    }
    return self;
}

/// What is said of it: behind the option that makes its node or its device, or, of a lock, with the file's name in
/// brackets.
- (NSString *)wordsIn:(NSString *)words {
    NSRange range = [words rangeOfString:[_option stringByAppendingString:@": "]];
    if (range.location == NSNotFound) {
        range = [words rangeOfString:[NSString stringWithFormat:@"\"drive\":\"%@\"", _node]];
        if (range.location != NSNotFound) {
            NSUInteger end = NSMaxRange(range);
            range = [words rangeOfString:@"}: " options:0 range:NSMakeRange(end, words.length - end)];
        }
    }
    if (range.location != NSNotFound)
        return [[words substringFromIndex:NSMaxRange(range)]
            stringByTrimmingCharactersInSet:NSCharacterSet.whitespaceAndNewlineCharacterSet];
    for (NSString *path in _paths)
        if ([words rangeOfString:[NSString stringWithFormat:@"[%@]", path]].location != NSNotFound)
            return words;
    return nil;
}

- (NSError *)startErrorOfLastWords:(NSString *)words {
    NSString *said = [self wordsIn:words];
    if (said == nil)
        return nil;
    NSError *locked = QEMULockedDiskError(_property, _shown, said);
    if (locked != nil)
        return locked;
    if ([_attachment isKindOfClass:[VZNetworkBlockDeviceStorageDeviceAttachment class]])
        return QEMUNegotiationError(QEMUStartFailure, _property,
                                    (VZNetworkBlockDeviceStorageDeviceAttachment *)_attachment, said);
    return VZErrorWithReason(VZErrorInternal, QEMUStartFailure,
                             [NSString stringWithFormat:@"%@ is %@, which QEMU does not take: %@.", _property, _shown,
                                                        applevz_shown_words(said)],
                             nil, nil);
}

@end
