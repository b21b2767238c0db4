// SPDX-License-Identifier: Apache-2.0
#import "saved_state_errors.h"
#import "applevz.h"
#import "boundary/conditions.h"
#import "boundary/errors.h"
#import "boundary/files.h"
#import "boundary/refusals.h"
#import "saved_state_leftovers.h"
#import "boundary/text.h"
#import <Virtualization/Virtualization.h>
#import <errno.h>
#import <fcntl.h>
#import <shown_text.h>
#import <string.h>
#import <sys/stat.h>
#import <unistd.h>

/// So much of a path is shown, and so deep are causes looked at: nobody nests them deeper.
enum { LONGEST_SHOWN_PATH = 400, DEEPEST_CAUSE = 16 };

/// Text for bytes that need be none.
static NSString *text_of(const char *bytes, size_t length) {
    return [[NSString alloc] initWithBytes:bytes length:length encoding:NSUTF8StringEncoding]
               ?: applevz_shown_bytes(bytes, length);
}

static NSString *path_of(NSURL *url) {
    NSData *path = applevz_path_of_file_url(url);
    return text_of(path.bytes, path.length);
}

static NSString *quoted_path(NSURL *url) {
    return [NSString stringWithFormat:@"\"%@\"", applevz_shown_text(path_of(url), LONGEST_SHOWN_PATH, NO)];
}

static NSString *words_of(int number) {
    return [NSString stringWithUTF8String:strerror(number)];
}

static NSError *error_of_file(int number, NSURL *url) {
    NSData *path = applevz_path_of_file_url(url);
    return applevz_error_with_file(applevz_posix_error(number), path.bytes, path.length);
}

static NSError *file_error(NSInteger code, NSString *failure, NSString *reason, NSString *suggestion, NSError *cause) {
    return applevz_error_with_cause(VZErrorDomain, code, APPLEVZ_OPENS_WITH_FAILURE, failure, reason, suggestion,
                                    cause);
}

NSError *applevz_save_error(NSURL *url, BOOL replacing, int number, NSString *words, NSString *suggestion) {
    NSString *reason = [NSString stringWithFormat:@"%@ cannot be %@: %@.", quoted_path(url),
                                                  replacing ? @"replaced" : @"written", words ?: words_of(number)];
    return file_error(APPLEVZ_ERROR_SAVE, @"An error occurred while saving the virtual machine.", reason, suggestion,
                      number != 0 ? error_of_file(number, url) : nil);
}

#pragma mark Names

/// The text with the file's own name. A text that is cut may have a part of the temporary one, with the process at
/// least.
static NSString *text_with_name(NSString *text, NSString *temporary_name, NSString *name) {
    NSUInteger least = strlen(applevz_temporary_prefix);
    least = NSMaxRange([temporary_name rangeOfString:@"-"
                                             options:NSLiteralSearch
                                               range:NSMakeRange(least, temporary_name.length - least)]);
    NSString *beginning = [temporary_name substringToIndex:least];
    NSMutableString *changed = [text mutableCopy];
    NSRange found;
    NSUInteger from = 0;
    BOOL is_changed = NO;
    while ((found = [changed rangeOfString:beginning
                                   options:NSLiteralSearch
                                     range:NSMakeRange(from, changed.length - from)])
               .location != NSNotFound) {
        while (found.length < temporary_name.length && NSMaxRange(found) < changed.length &&
               [changed characterAtIndex:NSMaxRange(found)] == [temporary_name characterAtIndex:found.length])
            found.length++;
        [changed replaceCharactersInRange:found withString:name];
        from = found.location + name.length;
        is_changed = YES;
    }
    return is_changed ? changed : text;
}

/// The same value where nothing in it tells of the file.
static id value_with_name(id value, NSString *temporary_name, NSString *name, NSURL *url, unsigned depth) {
    if ([value isKindOfClass:[NSString class]])
        return text_with_name(value, temporary_name, name);
    if ([value isKindOfClass:[NSURL class]])
        return [[value absoluteString] rangeOfString:temporary_name].location != NSNotFound ? url : value;
    if (depth == DEEPEST_CAUSE)
        return value;
    if ([value isKindOfClass:[NSArray class]]) {
        NSMutableArray *changed = [NSMutableArray array];
        BOOL is_changed = NO;
        for (id element in value) {
            id other = value_with_name(element, temporary_name, name, url, depth + 1);
            is_changed = is_changed || other != element;
            [changed addObject:other];
        }
        return is_changed ? changed : value;
    }
    if ([value isKindOfClass:[NSDictionary class]]) {
        NSMutableDictionary *changed = [NSMutableDictionary dictionary];
        BOOL is_changed = NO;
        for (id key in value) {
            id element = [value objectForKey:key];
            id other = value_with_name(element, temporary_name, name, url, depth + 1);
            is_changed = is_changed || other != element;
            changed[key] = other;
            // A path that is not text has its own bytes in the URL only.
            if (other != element && [NSFilePathErrorKey isEqual:key])
                changed[NSURLErrorKey] = url;
        }
        return is_changed ? changed : value;
    }
    if ([value isKindOfClass:[NSError class]]) {
        NSError *error = value;
        NSDictionary *information = error.userInfo;
        NSDictionary *changed = value_with_name(information, temporary_name, name, url, depth + 1);
        return changed != information ? [NSError errorWithDomain:error.domain code:error.code userInfo:changed] : error;
    }
    return value;
}

NSError *applevz_error_of_named_file(NSError *error, NSString *temporary_name, NSURL *url) {
    NSData *path = applevz_path_of_file_url(url);
    const char *bytes = path.bytes;
    size_t begin = path.length;
    while (bytes[begin - 1] != '/')
        begin--;
    NSString *name = applevz_shown_text(text_of(bytes + begin, path.length - begin), LONGEST_SHOWN_PATH, NO);
    return value_with_name(error, temporary_name, name, url, 0);
}

#pragma mark Restoring

static NSError *restore_error(NSURL *url, NSString *words, int number) {
    return file_error(APPLEVZ_ERROR_RESTORE, @"An error occurred while restoring the virtual machine.",
                      [NSString stringWithFormat:@"The saved state is %@, which %@.", quoted_path(url), words],
                      @"Name a file that saving made, and that this user may read.",
                      number != 0 ? error_of_file(number, url) : nil);
}

NSError *applevz_error_of_saved_state(NSURL *url) {
    NSMutableData *path = [applevz_path_of_file_url(url) mutableCopy];
    [path appendBytes:"" length:1];
    struct stat status;
    // Looked at before it is opened, because of what opening can do.
    if (stat(path.bytes, &status) != 0)
        return restore_error(url, [@"cannot be found: " stringByAppendingString:words_of(errno)], errno);
    if (S_ISDIR(status.st_mode))
        return restore_error(url, @"is a directory; it must be a regular file", EISDIR);
    if (!S_ISREG(status.st_mode))
        return restore_error(url, @"is a device, a FIFO or a socket; it must be a regular file", 0);
    if (status.st_size == 0)
        return restore_error(url, @"is empty, and no saved state", 0);
    if (faccessat(AT_FDCWD, path.bytes, R_OK, AT_EACCESS) != 0)
        return restore_error(url, [@"cannot be read: " stringByAppendingString:words_of(errno)], errno);
    return nil;
}

NSError *applevz_restore_error(NSError *error, NSURL *url) {
    applevz_note_refusal(error);
    AppleVZNamedFile *file = [[AppleVZNamedFile alloc] initWithURL:url field:@"path" use:AppleVZFileIsRead];
    // What names a file is not about this one.
    return applevz_file_of_error(error) == nil ? applevz_refusal_of_files(error, file, nil)
                                               : applevz_refusal_of_files(error, nil, @[ file ]);
}
