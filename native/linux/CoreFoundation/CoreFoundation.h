// SPDX-License-Identifier: Apache-2.0
// <CoreFoundation/CoreFoundation.h>: the part of it that this project and programs like it call. Each type is toll-free
// bridged: a CFErrorRef is an NSError, and CFRelease releases it. Behaviour is what Apple documents for each function.
#ifndef APPLEVZ_COREFOUNDATION_H
#define APPLEVZ_COREFOUNDATION_H

// Apple's brings these with it, and programs rely on that.
#include <TargetConditionals.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include <CoreFoundation/CFBase.h>
#include <CoreFoundation/CFArray.h>
#include <CoreFoundation/CFData.h>
#include <CoreFoundation/CFDictionary.h>
#include <CoreFoundation/CFError.h>
#include <CoreFoundation/CFNumber.h>
#include <CoreFoundation/CFRunLoop.h>
#include <CoreFoundation/CFString.h>
#include <CoreFoundation/CFURL.h>

#endif
