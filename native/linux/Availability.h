// SPDX-License-Identifier: Apache-2.0
// Which releases of macOS a declaration is for. Here each is for every host: what is not implemented is not declared.
#ifndef APPLEVZ_AVAILABILITY_H
#define APPLEVZ_AVAILABILITY_H

// The frameworks here are those of macOS 15, less what only a Mac has.
#define __MAC_11_0 110000
#define __MAC_12_0 120000
#define __MAC_12_3 120300
#define __MAC_13_0 130000
#define __MAC_14_0 140000
#define __MAC_15_0 150000
#ifndef __MAC_OS_X_VERSION_MAX_ALLOWED
#define __MAC_OS_X_VERSION_MAX_ALLOWED __MAC_15_0
#endif
#ifndef __MAC_OS_X_VERSION_MIN_REQUIRED
#define __MAC_OS_X_VERSION_MIN_REQUIRED __MAC_13_0
#endif

// The attributes are the compiler's own: nothing looks at them here, where every declaration is for every host, but a
// program that is type-checked for a Mac (-target arm64-apple-macos13 -Wunguarded-availability) is told of a missing
// @available.
#ifndef API_AVAILABLE
#define _APPLEVZ_INTRODUCED_macos(_version) __attribute__((availability(macos, introduced = _version)))
#define _APPLEVZ_INTRODUCED_ios(_version)
#define _APPLEVZ_INTRODUCED_macCatalyst(_version)
#define _APPLEVZ_INTRODUCED_tvos(_version)
#define _APPLEVZ_INTRODUCED_visionos(_version)
#define _APPLEVZ_INTRODUCED_watchos(_version)
#define _APPLEVZ_AVAILABLE_1(_1) _APPLEVZ_INTRODUCED_##_1
#define _APPLEVZ_AVAILABLE_2(_1, _2) _APPLEVZ_AVAILABLE_1(_1) _APPLEVZ_AVAILABLE_1(_2)
#define _APPLEVZ_AVAILABLE_3(_1, _2, _3) _APPLEVZ_AVAILABLE_2(_1, _2) _APPLEVZ_AVAILABLE_1(_3)
#define _APPLEVZ_AVAILABLE_4(_1, _2, _3, _4) _APPLEVZ_AVAILABLE_3(_1, _2, _3) _APPLEVZ_AVAILABLE_1(_4)
#define _APPLEVZ_AVAILABLE_5(_1, _2, _3, _4, _5) _APPLEVZ_AVAILABLE_4(_1, _2, _3, _4) _APPLEVZ_AVAILABLE_1(_5)
#define _APPLEVZ_AVAILABLE_6(_1, _2, _3, _4, _5, _6) _APPLEVZ_AVAILABLE_5(_1, _2, _3, _4, _5) _APPLEVZ_AVAILABLE_1(_6)
#define _APPLEVZ_SEVENTH(_1, _2, _3, _4, _5, _6, _7, ...) _7
#define API_AVAILABLE(...)                                                                                             \
    _APPLEVZ_SEVENTH(__VA_ARGS__, _APPLEVZ_AVAILABLE_6, _APPLEVZ_AVAILABLE_5, _APPLEVZ_AVAILABLE_4,                    \
                     _APPLEVZ_AVAILABLE_3, _APPLEVZ_AVAILABLE_2, _APPLEVZ_AVAILABLE_1, )(__VA_ARGS__)
#endif
#ifndef API_UNAVAILABLE
#define API_UNAVAILABLE(...)
#endif
#ifndef API_DEPRECATED
#define API_DEPRECATED(...)
#endif
#ifndef API_DEPRECATED_WITH_REPLACEMENT
#define API_DEPRECATED_WITH_REPLACEMENT(...)
#endif
#ifndef API_AVAILABLE_BEGIN
#define API_AVAILABLE_BEGIN(...)
#define API_AVAILABLE_END
#endif

#endif
