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

#ifndef API_AVAILABLE
#define API_AVAILABLE(...)
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
