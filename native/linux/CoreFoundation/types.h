// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share. The names under <CoreFoundation/…> are the others.
#import <CoreFoundation/CoreFoundation.h>
#import <Foundation/Foundation.h>

// The type identifiers are ours alone: Apple's vary from run to run.
enum { CFTypeOther = 1, CFTypeDictionary = 18, CFTypeString = 7, CFTypeError = 27 };

_Noreturn void CFFatalNull(const char *function);
#define CFRequire(object) ((object) ? (void)0 : CFFatalNull(__func__))
