// SPDX-License-Identifier: Apache-2.0
// <os/log.h>. There is no unified log here. As on macOS, nothing goes to standard error, unless the environment
// variable OS_ACTIVITY_DT_MODE is set, by which Apple's tools ask for it.
#ifndef APPLEVZ_OS_LOG_H
#define APPLEVZ_OS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __OBJC__
#import <Foundation/NSObject.h>
@protocol OS_os_log <NSObject>
@end
typedef NSObject<OS_os_log> *os_log_t;
#else
typedef struct os_log_s *os_log_t;
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef uint8_t os_log_type_t;
enum {
    OS_LOG_TYPE_DEFAULT = 0x00,
    OS_LOG_TYPE_INFO = 0x01,
    OS_LOG_TYPE_DEBUG = 0x02,
    OS_LOG_TYPE_ERROR = 0x10,
    OS_LOG_TYPE_FAULT = 0x11,
};

#define OS_LOG_EXPORT extern __attribute__((visibility("default")))

/* Kept for ever: the same names give the same log. */
OS_LOG_EXPORT os_log_t os_log_create(const char *subsystem, const char *category);
OS_LOG_EXPORT os_log_t _os_log_default(void);
OS_LOG_EXPORT os_log_t _os_log_disabled(void);
OS_LOG_EXPORT bool os_log_type_enabled(os_log_t log, os_log_type_t type);
OS_LOG_EXPORT void _os_log_write(os_log_t log, os_log_type_t type, const char *format, ...)
    __attribute__((__format__(__os_log__, 3, 4)));

#define OS_LOG_DEFAULT _os_log_default()
#define OS_LOG_DISABLED _os_log_disabled()

#define os_log_with_type(log, type, format, ...)                                                                       \
    __extension__({                                                                                                    \
        os_log_t _log = (log);                                                                                         \
        os_log_type_t _type = (type);                                                                                  \
        if (os_log_type_enabled(_log, _type))                                                                          \
            _os_log_write(_log, _type, "" format "", ##__VA_ARGS__);                                                   \
    })
#define os_log(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_DEFAULT, format, ##__VA_ARGS__)
#define os_log_info(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_INFO, format, ##__VA_ARGS__)
#define os_log_debug(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_DEBUG, format, ##__VA_ARGS__)
#define os_log_error(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_ERROR, format, ##__VA_ARGS__)
#define os_log_fault(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_FAULT, format, ##__VA_ARGS__)
#define os_log_info_enabled(log) os_log_type_enabled(log, OS_LOG_TYPE_INFO)
#define os_log_debug_enabled(log) os_log_type_enabled(log, OS_LOG_TYPE_DEBUG)

#ifdef __cplusplus
}
#endif

#endif
