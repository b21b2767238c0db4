// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share. The names under <CoreFoundation/…> are the others.
#import <CoreFoundation/CoreFoundation.h>
#import <Foundation/Foundation.h>

// The type identifiers are ours alone: Apple's vary from run to run.
enum {
    CFTypeOther = 1,
    CFTypeString = 7,
    CFTypeNull = 16,
    CFTypeDictionary = 18,
    CFTypeArray = 19,
    CFTypeData = 20,
    CFTypeBoolean = 21,
    CFTypeNumber = 22,
    CFTypeError = 27,
    CFTypeURL = 29,
};

_Noreturn void CFFatalNull(const char *function);
_Noreturn void CFFatal(const char *function, const char *reason);
#define CFRequire(object) ((object) ? (void)0 : CFFatalNull(__func__))

// The run loop that a CFRunLoopRef stands for.
NSRunLoop *CFRunLoopGetNSRunLoop(CFRunLoopRef runLoop);
