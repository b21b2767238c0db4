// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>
#include <os/log.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

@interface OSLog : NSObject <OS_os_log>
@property (readonly) NSString *name; // nil for the one that is silent
- (instancetype)initWithName:(NSString *)name;
@end

@implementation OSLog

- (instancetype)initWithName:(NSString *)name {
    self = [super init];
    if (self != nil)
        _name = [name copy];
    return self;
}

@end

static NSMutableDictionary<NSString *, OSLog *> *logs(void) {
    static NSMutableDictionary *logs;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        logs = [[NSMutableDictionary alloc] init];
    });
    return logs;
}

static OSLog *log_named(NSString *name) {
    NSMutableDictionary<NSString *, OSLog *> *all = logs();
    @synchronized(all) {
        OSLog *log = all[name];
        if (log == nil)
            all[name] = log = [[OSLog alloc] initWithName:name];
        return log;
    }
}

os_log_t os_log_create(const char *subsystem, const char *category) {
    @autoreleasepool {
        return log_named([NSString stringWithFormat:@"%s:%s", subsystem, category]);
    }
}

os_log_t _os_log_default(void) {
    return log_named(@"");
}

os_log_t _os_log_disabled(void) {
    static OSLog *log;
    static dispatch_once_t once;
    dispatch_once(&once, ^{
        log = [[OSLog alloc] initWithName:nil];
    });
    return log;
}

bool os_log_type_enabled(os_log_t log, os_log_type_t type) {
    (void)type;
    return log != nil && ((OSLog *)log).name != nil && getenv("OS_ACTIVITY_DT_MODE") != NULL;
}

/// The format as NSString takes it: without what stands in braces, `%{public}s`, and with the text for `%m`.
static NSString *plain_format(const char *format, int number) {
    NSMutableData *plain = [NSMutableData data];
    for (const char *next = format; *next != '\0'; next++) {
        [plain appendBytes:next length:1];
        if (*next != '%')
            continue;
        if (next[1] == '{') {
            const char *end = strchr(next, '}');
            if (end == NULL)
                continue;
            next = end;
        }
        if (next[1] == 'm') {
            NSString *text = [@(strerror(number)) stringByReplacingOccurrencesOfString:@"%" withString:@"%%"];
            [plain setLength:plain.length - 1];
            [plain appendData:[text dataUsingEncoding:NSUTF8StringEncoding]];
            next++;
        } else if (next[1] == '%') {
            [plain appendBytes:++next length:1];
        }
    }
    return [[NSString alloc] initWithData:plain encoding:NSUTF8StringEncoding] ?: @"";
}

void _os_log_write(os_log_t log, os_log_type_t type, const char *format, ...) {
    int number = errno;
    @autoreleasepool {
        va_list arguments;
        va_start(arguments, format);
        NSString *text = [[NSString alloc] initWithFormat:plain_format(format, number) arguments:arguments];
        va_end(arguments);
        NSString *name = ((OSLog *)log).name;
        const char *level = type == OS_LOG_TYPE_FAULT   ? " fault:"
                            : type == OS_LOG_TYPE_ERROR ? " error:"
                            : type == OS_LOG_TYPE_DEBUG ? " debug:"
                            : type == OS_LOG_TYPE_INFO  ? " info:"
                                                        : "";
        struct timespec now;
        struct tm local;
        char when[32];
        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &local);
        strftime(when, sizeof when, "%F %T", &local);
        NSData *line = [[NSString stringWithFormat:@"%s.%06ld %s[%d]%s %@%@\n", when, now.tv_nsec / 1000,
                                                   program_invocation_short_name, getpid(), level,
                                                   name.length > 0 ? [NSString stringWithFormat:@"[%@] ", name] : @"",
                                                   text] dataUsingEncoding:NSUTF8StringEncoding];
        fwrite(line.bytes, 1, line.length, stderr);
    }
    errno = number;
}
