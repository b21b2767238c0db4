// SPDX-License-Identifier: Apache-2.0
// Names of Apple's Foundation and availability headers that source written for Apple's framework uses and GNUstep 1.28
// does not have. Each stands aside for a newer GNUstep's own.
#import <Foundation/Foundation.h>
#include <stdint.h>

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

#ifndef NS_SWIFT_NAME
#define NS_SWIFT_NAME(_name)
#endif
#ifndef NS_SWIFT_UNAVAILABLE
#define NS_SWIFT_UNAVAILABLE(_message)
#endif
#ifndef NS_SWIFT_ASYNC_NAME
#define NS_SWIFT_ASYNC_NAME(_name)
#endif
#ifndef NS_SWIFT_ASYNC
#define NS_SWIFT_ASYNC(_parameter)
#endif
#ifndef NS_SWIFT_DISABLE_ASYNC
#define NS_SWIFT_DISABLE_ASYNC
#endif
#ifndef NS_SWIFT_SENDABLE
#define NS_SWIFT_SENDABLE
#endif
#ifndef NS_SWIFT_NONSENDABLE
#define NS_SWIFT_NONSENDABLE
#endif
#ifndef NS_SWIFT_UI_ACTOR
#define NS_SWIFT_UI_ACTOR
#endif
#ifndef NS_REFINED_FOR_SWIFT
#define NS_REFINED_FOR_SWIFT
#endif
#ifndef NS_HEADER_AUDIT_BEGIN
#define NS_HEADER_AUDIT_BEGIN(...) NS_ASSUME_NONNULL_BEGIN
#define NS_HEADER_AUDIT_END(...) NS_ASSUME_NONNULL_END
#endif

#ifndef NS_NOESCAPE
#define NS_NOESCAPE __attribute__((noescape))
#endif
#ifndef NS_REQUIRES_SUPER
#define NS_REQUIRES_SUPER __attribute__((objc_requires_super))
#endif
#ifndef NS_REQUIRES_NIL_TERMINATION
#define NS_REQUIRES_NIL_TERMINATION __attribute__((sentinel(0, 1)))
#endif
#ifndef NS_TYPED_ENUM
#define NS_TYPED_ENUM
#endif
#ifndef NS_TYPED_EXTENSIBLE_ENUM
#define NS_TYPED_EXTENSIBLE_ENUM
#endif
#ifndef NS_STRING_ENUM
#define NS_STRING_ENUM NS_TYPED_ENUM
#endif
#ifndef NS_CLOSED_ENUM
#define NS_CLOSED_ENUM(...) NS_ENUM(__VA_ARGS__)
#endif
#ifndef NS_ERROR_ENUM
#define NS_ERROR_ENUM(_domain, _name) NS_ENUM(NSInteger, _name)
#endif
#ifndef FOUNDATION_EXTERN
#define FOUNDATION_EXTERN FOUNDATION_EXPORT
#endif

// GNUstep 1.28 defines this one empty, which would let a program call what the framework forbids.
#undef NS_UNAVAILABLE
#define NS_UNAVAILABLE __attribute__((unavailable))

typedef NSString *NSErrorUserInfoKey;

// The BSDs' name and member for six octets; the C library here has only `struct ether_addr` with another member name.
typedef struct {
    uint8_t octet[6];
} ether_addr_t;
