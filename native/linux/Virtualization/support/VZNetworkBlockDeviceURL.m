// SPDX-License-Identifier: Apache-2.0
#import "VZNetworkBlockDeviceURL+Private.h"
#import "VZHostFile+Private.h"
#include <sys/un.h>

// The port that is registered for it, and the longest name in the protocol.
enum { defaultPort = 10809, longestExportName = 4096, longestHost = 255 };

static int value_of_digit(unichar character) {
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    character |= 0x20;
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

// The text that the escapes stand for; nil, and what is wrong, where they stand for none.
static NSString *decoded(NSString *text, NSString **wrong) {
    NSMutableData *bytes = [[NSMutableData alloc] init];
    NSData *given = VZUTF8Data(text);
    if (!given) {
        *wrong = @"is not text in UTF-8";
        return nil;
    }
    const char *from = given.bytes;
    NSUInteger length = given.length - 1;
    for (NSUInteger i = 0; i < length; i++) {
        char byte = from[i];
        if (byte == '%') {
            int high = i + 2 < length ? value_of_digit((unichar)from[i + 1]) : -1;
            int low = i + 2 < length ? value_of_digit((unichar)from[i + 2]) : -1;
            if (high < 0 || low < 0) {
                *wrong = @"has a % without two hexadecimal digits after it";
                return nil;
            }
            byte = (char)(high << 4 | low);
            i += 2;
        }
        if (byte == 0) {
            *wrong = @"has a NUL character in it";
            return nil;
        }
        [bytes appendBytes:&byte length:1];
    }
    NSString *result = [[NSString alloc] initWithData:bytes encoding:NSUTF8StringEncoding];
    if (!result) {
        *wrong = @"is not text in UTF-8";
    }
    return result;
}

// What stands before the first of the separators, which is taken off the text with it. found is whether there was one.
static NSString *takeUpTo(NSString *separator, NSString **text, BOOL *found) {
    NSRange range = [*text rangeOfString:separator];
    *found = range.location != NSNotFound;
    if (!*found) {
        return *text;
    }
    NSString *before = [*text substringToIndex:range.location];
    *text = [*text substringFromIndex:NSMaxRange(range)];
    return before;
}

@implementation VZNetworkBlockDeviceURL

- (instancetype)initWithURL:(NSURL *)url reason:(NSString **)reason {
    if (!(self = [super init])) {
        return nil;
    }
    NSString *wrong = [self wrongWithText:url.absoluteString];
    if (!wrong) {
        return self;
    }
    *reason = url ? [NSString stringWithFormat:@"is %@, %@", VZQuoted(url.absoluteString), wrong] : @"is nil";
    return nil;
}

- (NSString *)wrongWithText:(NSString *)text {
    BOOL found;
    if (!text) {
        return @"nothing";
    }
    NSString *rest = text;
    NSString *scheme = takeUpTo(@":", &rest, &found).lowercaseString;
    if (!found || [scheme rangeOfString:@"/"].location != NSNotFound) {
        return @"which has no scheme";
    }
    if ([@[ @"nbds", @"nbds+unix", @"nbd+vsock", @"nbds+vsock" ] containsObject:scheme]) {
        return [NSString stringWithFormat:@"whose scheme %@ is not supported on this host", scheme];
    }
    BOOL local = [scheme isEqualToString:@"nbd+unix"];
    if (!local && ![scheme isEqualToString:@"nbd"]) {
        return [NSString stringWithFormat:@"whose scheme %@ is not one of network block devices", VZQuoted(scheme)];
    }
    if (![rest hasPrefix:@"//"]) {
        return @"which has no // after its scheme";
    }
    rest = [rest substringFromIndex:2];
    if ([rest rangeOfString:@"#"].location != NSNotFound) {
        return @"which has a fragment, behind #";
    }
    NSString *query = rest;
    NSString *beforeQuery = takeUpTo(@"?", &query, &found);
    NSArray<NSString *> *parameters = found && query.length > 0 ? [query componentsSeparatedByString:@"&"] : @[];
    NSString *path = beforeQuery;
    NSString *authority = takeUpTo(@"/", &path, &found);
    NSString *wrong = nil;
    _exportName = decoded(found ? path : @"", &wrong);
    if (!_exportName) {
        return [NSString stringWithFormat:@"whose export %@", wrong];
    }
    NSUInteger length = [_exportName lengthOfBytesUsingEncoding:NSUTF8StringEncoding];
    if (length > longestExportName) {
        return [NSString stringWithFormat:@"whose export has a name of %lu bytes, where the protocol has room for %d",
                                          (unsigned long)length, longestExportName];
    }
    return local ? [self wrongWithAuthority:authority socketIn:parameters]
                 : [self wrongWithAuthority:authority serverBesides:parameters];
}

- (NSString *)wrongWithAuthority:(NSString *)authority socketIn:(NSArray<NSString *> *)parameters {
    if (authority.length > 0) {
        return [NSString
            stringWithFormat:@"which has %@ between // and /, where a local socket has nothing", VZQuoted(authority)];
    }
    for (NSString *parameter in parameters) {
        NSString *value = parameter;
        BOOL found;
        NSString *key = takeUpTo(@"=", &value, &found);
        NSString *wrong = nil;
        if (![key isEqualToString:@"socket"]) {
            return [NSString stringWithFormat:@"which has an unknown parameter, %@", VZQuoted(key)];
        }
        if (_socketPath) {
            return @"which has the parameter socket twice";
        }
        _socketPath = found ? decoded(value, &wrong) : @"";
        if (!_socketPath) {
            return [NSString stringWithFormat:@"whose socket %@", wrong];
        }
    }
    if (_socketPath.length == 0) {
        return @"which names no socket";
    }
    if (![_socketPath hasPrefix:@"/"]) {
        return @"whose socket has a relative path";
    }
    NSUInteger length = [_socketPath lengthOfBytesUsingEncoding:NSUTF8StringEncoding];
    NSUInteger room = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    if (length > room) {
        return [NSString stringWithFormat:@"whose socket has a path of %lu bytes, where the system has room for %lu",
                                          (unsigned long)length, (unsigned long)room];
    }
    return nil;
}

- (NSString *)wrongWithAuthority:(NSString *)authority serverBesides:(NSArray<NSString *> *)parameters {
    if (parameters.count > 0) {
        return [NSString stringWithFormat:@"which has a parameter, %@, where there is none", VZQuoted(parameters[0])];
    }
    if ([authority rangeOfString:@"@"].location != NSNotFound) {
        return @"which names a user, that this protocol does not know";
    }
    NSString *port = nil;
    NSString *host = authority;
    BOOL bracketed = [authority hasPrefix:@"["];
    NSRange end = [authority rangeOfString:bracketed ? @"]" : @":"];
    if (bracketed && end.location == NSNotFound) {
        return @"whose host has no ] at its end";
    }
    if (end.location != NSNotFound) {
        host =
            [authority substringWithRange:bracketed ? NSMakeRange(1, end.location - 1) : NSMakeRange(0, end.location)];
        NSString *after = [authority substringFromIndex:NSMaxRange(end)];
        if (bracketed && after.length > 0 && ![after hasPrefix:@":"]) {
            return @"which has something else than a port after its host";
        }
        port = bracketed && after.length > 0 ? [after substringFromIndex:1] : after;
    }
    NSString *wrong = nil;
    host = decoded(host, &wrong);
    if (!host) {
        return [NSString stringWithFormat:@"whose host %@", wrong];
    }
    if (host.length == 0) {
        return @"which names no host";
    }
    NSMutableCharacterSet *allowed = [[NSMutableCharacterSet alloc] init];
    [allowed addCharactersInString:@"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"];
    if (bracketed) {
        [allowed addCharactersInString:@":%"];
    }
    if (host.length > longestHost || [host rangeOfCharacterFromSet:allowed.invertedSet].location != NSNotFound) {
        return [NSString stringWithFormat:@"whose host %@ is not one", VZQuoted(host)];
    }
    _host = host;
    _port = defaultPort;
    if (port.length == 0) {
        return nil;
    }
    NSCharacterSet *digits = [NSCharacterSet characterSetWithCharactersInString:@"0123456789"];
    BOOL number = port.length <= 5 && [port rangeOfCharacterFromSet:digits.invertedSet].location == NSNotFound;
    _port = number ? (NSUInteger)port.intValue : 0;
    return _port >= 1 && _port <= 65535 ? nil : [NSString stringWithFormat:@"whose port %@ is not one", VZQuoted(port)];
}

- (NSString *)canonicalText {
    NSString *server =
        _socketPath ?: [NSString stringWithFormat:@"%@ %lu", _host.lowercaseString, (unsigned long)_port];
    return [NSString stringWithFormat:@"%@\n%@", server, _exportName];
}

@end
