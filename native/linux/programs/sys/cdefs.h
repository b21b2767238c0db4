// SPDX-License-Identifier: Apache-2.0
// <sys/cdefs.h>, with what the BSDs' has and the C library's here does not. Every header of the C library includes it;
// left out are those that headers of the C and C++ libraries use for names of theirs (__used, __aligned).
#include_next <sys/cdefs.h>

#ifndef __unused
#define __unused __attribute__((__unused__))
#endif
#ifndef __dead2
#define __dead2 __attribute__((__noreturn__))
#endif
#ifndef __pure2
#define __pure2 __attribute__((__const__))
#endif
#ifndef __deprecated
#define __deprecated __attribute__((__deprecated__))
#endif
#ifndef __packed
#define __packed __attribute__((__packed__))
#endif
#ifndef __printflike
#define __printflike(format, first) __attribute__((__format__(__printf__, format, first)))
#endif
#ifndef __scanflike
#define __scanflike(format, first) __attribute__((__format__(__scanf__, format, first)))
#endif
