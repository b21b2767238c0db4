// SPDX-License-Identifier: Apache-2.0
// <CoreFoundation/CoreFoundation.h>: the part of it that this project and programs like it call. Each type is toll-free
// bridged: a CFErrorRef is an NSError, and CFRelease releases it. Behaviour is what Apple documents for each function.
#ifndef APPLEVZ_COREFOUNDATION_H
#define APPLEVZ_COREFOUNDATION_H

#include <CoreFoundation/CFBase.h>
#include <CoreFoundation/CFDictionary.h>
#include <CoreFoundation/CFError.h>
#include <CoreFoundation/CFRunLoop.h>
#include <CoreFoundation/CFString.h>

#endif
