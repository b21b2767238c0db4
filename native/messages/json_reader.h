// SPDX-License-Identifier: Apache-2.0
#ifndef JSON_READER_H
#define JSON_READER_H

#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// The reader of all JSON that others wrote: a QEMU that a guest took over, a guest's agent, a saved state, a file of
// the host. Foundation's own calls itself for each level, and a few kilobytes of "[" end the process.

/// So deep may arrays and objects nest.
enum { APPLEVZ_JSON_DEPTH = 32 };

/// The value that the bytes are, all of them (RFC 8259, in strict UTF-8). Objects, arrays and texts become
/// NSDictionary, NSArray and NSString, null NSNull, numbers NSNumber: integers of up to 64 bits as they are, all others
/// as double. Which numbers are booleans, json_values.h tells.
///
/// nil, with a reason that completes a sentence which begins with what was read ("has a name twice at byte 7"), where
/// they are none, are more than `longest`, nest too deep, have a name twice in one object, a number that no double is
/// as large as, half a surrogate pair, or the character NUL, at which a C string would end. The reader raises no
/// exception.
id _Nullable applevz_json_read(const void *_Nullable bytes, size_t length, size_t longest,
                               NSString *_Nullable __autoreleasing *_Nullable reason);

/// The same for what has to be an object.
NSDictionary<NSString *, id> *_Nullable applevz_json_read_object(const void *_Nullable bytes, size_t length,
                                                                 size_t longest,
                                                                 NSString *_Nullable __autoreleasing *_Nullable reason);

NS_ASSUME_NONNULL_END

#endif
