// SPDX-License-Identifier: Apache-2.0
#ifndef JSON_VALUES_H
#define JSON_VALUES_H

#import <Foundation/Foundation.h>
#import <stdbool.h>
#import <stdint.h>

NS_ASSUME_NONNULL_BEGIN

// What others say has the types that they like. These take whatever json_reader.h gave: where `object` is no object,
// has no such member, or has one of another type, there is none. Nothing else looks into what was read.

NSString *_Nullable applevz_json_text(id _Nullable object, NSString *name);
NSArray *_Nullable applevz_json_array(id _Nullable object, NSString *name);
NSDictionary<NSString *, id> *_Nullable applevz_json_object(id _Nullable object, NSString *name);

/// NO where it is no boolean: false, or what stands in its place.
bool applevz_json_is_true(id _Nullable object, NSString *name);
bool applevz_json_boolean(id _Nullable object, NSString *name, bool *value);

/// An integer that was written as one, in the range. `value` stays as it is where there is none.
bool applevz_json_integer(id _Nullable object, NSString *name, int64_t least, int64_t greatest, int64_t *value);
bool applevz_json_unsigned(id _Nullable object, NSString *name, uint64_t *value);

NS_ASSUME_NONNULL_END

#endif
