// SPDX-License-Identifier: Apache-2.0
#import <CoreFoundation/types.h>

#define URL(url) ((__bridge NSURL *)(url))
#define GIVEN(object) ((__bridge_retained void *)(object))

CFTypeID CFURLGetTypeID(void) {
    return CFTypeURL;
}

CFURLRef CFURLCreateWithString(CFAllocatorRef allocator, CFStringRef string, CFURLRef baseURL) {
    (void)allocator;
    CFRequire(string);
    @autoreleasepool {
        return GIVEN([NSURL URLWithString:(__bridge NSString *)string relativeToURL:URL(baseURL)]);
    }
}

CFURLRef CFURLCreateWithBytes(CFAllocatorRef allocator, const UInt8 *bytes, CFIndex length, CFStringEncoding encoding,
                              CFURLRef baseURL) {
    CFStringRef string = CFStringCreateWithBytes(allocator, bytes, length, encoding, false);
    CFURLRef url = string ? CFURLCreateWithString(allocator, string, baseURL) : NULL;
    if (string)
        CFRelease(string);
    return url;
}

CFURLRef CFURLCreateWithFileSystemPath(CFAllocatorRef allocator, CFStringRef path, CFURLPathStyle style,
                                       Boolean isDirectory) {
    (void)allocator;
    CFRequire(path);
    if (style != kCFURLPOSIXPathStyle)
        return NULL;
    @autoreleasepool {
        return GIVEN([NSURL fileURLWithPath:(__bridge NSString *)path isDirectory:isDirectory]);
    }
}

CFURLRef CFURLCreateFromFileSystemRepresentation(CFAllocatorRef allocator, const UInt8 *path, CFIndex length,
                                                 Boolean isDirectory) {
    (void)allocator;
    CFRequire(path);
    @autoreleasepool {
        NSString *text = length < 0 ? nil
                                    : [NSFileManager.defaultManager
                                          stringWithFileSystemRepresentation:(const char *)path
                                                                      length:(NSUInteger)length];
        return text.length > 0 ? GIVEN([NSURL fileURLWithPath:text isDirectory:isDirectory]) : NULL;
    }
}

CFURLRef CFURLCreateCopyAppendingPathComponent(CFAllocatorRef allocator, CFURLRef url, CFStringRef component,
                                               Boolean isDirectory) {
    (void)allocator;
    CFRequire(url);
    CFRequire(component);
    @autoreleasepool {
        return GIVEN([URL(url) URLByAppendingPathComponent:(__bridge NSString *)component isDirectory:isDirectory]);
    }
}

CFURLRef CFURLCreateCopyDeletingLastPathComponent(CFAllocatorRef allocator, CFURLRef url) {
    (void)allocator;
    CFRequire(url);
    @autoreleasepool {
        return GIVEN([URL(url) URLByDeletingLastPathComponent]);
    }
}

CFURLRef CFURLCopyAbsoluteURL(CFURLRef url) {
    CFRequire(url);
    @autoreleasepool {
        return GIVEN([URL(url) absoluteURL]);
    }
}

CFStringRef CFURLGetString(CFURLRef url) {
    CFRequire(url);
    return (__bridge CFStringRef)[URL(url) relativeString];
}

CFURLRef CFURLGetBaseURL(CFURLRef url) {
    CFRequire(url);
    return (__bridge CFURLRef)[URL(url) baseURL];
}

Boolean CFURLGetFileSystemRepresentation(CFURLRef url, Boolean resolveAgainstBase, UInt8 *buffer, CFIndex size) {
    CFRequire(url);
    @autoreleasepool {
        NSString *path = resolveAgainstBase ? [URL(url) path] : [URL(url) relativePath];
        return path != nil && size > 0 && [path getFileSystemRepresentation:(char *)buffer maxLength:(NSUInteger)size];
    }
}

CFStringRef CFURLCopyFileSystemPath(CFURLRef url, CFURLPathStyle style) {
    CFRequire(url);
    @autoreleasepool {
        return style == kCFURLPOSIXPathStyle ? GIVEN([URL(url) path]) : NULL;
    }
}

CFStringRef CFURLCopyPath(CFURLRef url) {
    CFRequire(url);
    @autoreleasepool {
        // As it stands in the URL: with its escapes and, of a folder, the slash at its end.
        NSString *rest = [URL(url) relativeString];
        NSString *before = [URL(url) scheme];
        if (before != nil)
            rest = [rest substringFromIndex:before.length + 1];
        if ([rest hasPrefix:@"//"]) {
            NSRange slash = [rest rangeOfString:@"/" options:0 range:NSMakeRange(2, rest.length - 2)];
            rest = slash.location == NSNotFound ? @"" : [rest substringFromIndex:slash.location];
        }
        NSRange end = [rest rangeOfCharacterFromSet:[NSCharacterSet characterSetWithCharactersInString:@"?#;"]];
        return GIVEN(end.location == NSNotFound ? rest : [rest substringToIndex:end.location]);
    }
}

CFStringRef CFURLCopyScheme(CFURLRef url) {
    CFRequire(url);
    @autoreleasepool {
        return GIVEN([URL(url) scheme]);
    }
}

CFStringRef CFURLCopyHostName(CFURLRef url) {
    CFRequire(url);
    @autoreleasepool {
        NSString *host = [URL(url) host];
        return host.length > 0 ? GIVEN(host) : NULL;
    }
}

CFStringRef CFURLCopyLastPathComponent(CFURLRef url) {
    CFRequire(url);
    @autoreleasepool {
        return GIVEN([URL(url) lastPathComponent]);
    }
}

CFStringRef CFURLCopyPathExtension(CFURLRef url) {
    CFRequire(url);
    @autoreleasepool {
        NSString *extension = [URL(url) pathExtension];
        return extension.length > 0 ? GIVEN(extension) : NULL;
    }
}

SInt32 CFURLGetPortNumber(CFURLRef url) {
    CFRequire(url);
    @autoreleasepool {
        NSNumber *port = [URL(url) port];
        return port != nil ? port.intValue : -1;
    }
}

Boolean CFURLHasDirectoryPath(CFURLRef url) {
    CFRequire(url);
    CFStringRef path = CFURLCopyPath(url);
    Boolean has = [(__bridge NSString *)path hasSuffix:@"/"];
    CFRelease(path);
    return has;
}
