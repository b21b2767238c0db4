// SPDX-License-Identifier: Apache-2.0
#import "QEMUNetworkDisk.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import <errno.h>

NSError *QEMUNegotiationError(NSString *description, NSString *property, NSURL *url, NSString *words) {
    NSArray<NSString *> *lines = [words componentsSeparatedByString:@"\n"];
    // QEMU has the system's words for what the system said, but for a time-out that is its own.
    static const int numbers[] = {ECONNREFUSED, ENOENT,       EACCES,    ENETUNREACH,
                                  EHOSTUNREACH, ECONNRESET, ETIMEDOUT, EPIPE};
    int found = [lines[0] rangeOfString:@"cancelled by timeout"].location != NSNotFound ? ETIMEDOUT : 0;
    for (size_t i = 0; found == 0 && i < sizeof numbers / sizeof numbers[0]; i++)
        if ([lines[0] hasSuffix:VZSystemCallErrorText(numbers[i])])
            found = numbers[i];
    NSString *said = [lines componentsJoinedByString:@"; "];
    return VZErrorWithReason(
        VZErrorNetworkBlockDeviceNegotiationFailed, description,
        [NSString stringWithFormat:@"%@.URL is %@, and there is no such disk: %@.", property, VZQuoted(url.absoluteString),
                                   said],
        @"See to it that its server runs, can be reached from this host and gives out that export, without TLS.",
        found != 0 ? VZSystemCallError(found, nil) : nil);
}

@implementation QEMUNetworkDisk {
    NSString *_property;
    NSString *_option;
}

- (instancetype)initWithAttachment:(VZNetworkBlockDeviceStorageDeviceAttachment *)attachment
                          property:(NSString *)property
                              node:(NSString *)node
                            option:(NSString *)option {
    self = [super init];
    if (self != nil) {
        _attachment = attachment;
        _property = property;
        _node = node;
        _option = option;
    }
    return self;
}

- (NSError *)startErrorOfLastWords:(NSString *)words {
    NSRange range = [words rangeOfString:[_option stringByAppendingString:@": "]];
    if (range.location == NSNotFound)
        return nil;
    NSString *said = [[words substringFromIndex:NSMaxRange(range)]
        stringByTrimmingCharactersInSet:NSCharacterSet.whitespaceAndNewlineCharacterSet];
    return QEMUNegotiationError(@"The virtual machine could not be started.", _property, _attachment.URL, said);
}

@end
