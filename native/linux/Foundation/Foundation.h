// SPDX-License-Identifier: Apache-2.0
// GNUstep's <Foundation/Foundation.h>, with the names of Apple's Foundation that source written for Apple's frameworks
// uses and GNUstep 1.28 does not have. Each stands aside for a newer GNUstep's own. As on macOS, CoreFoundation and
// dispatch come with it.
#ifndef APPLEVZ_FOUNDATION_H
#define APPLEVZ_FOUNDATION_H

#include_next <Foundation/Foundation.h>
#import <Foundation/NSByteCountFormatter.h>
#include <Availability.h>
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

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

// As Apple's, an enumeration may get further values later, so the compiler does not object to a value that has no name
// yet; and options may be combined in a constant. GNUstep 1.28 says neither.
#if defined(__cplusplus)
#define _APPLEVZ_OPTIONS(_type, _name)                                                                                 \
    _type _name;                                                                                                       \
    enum __attribute__((flag_enum, enum_extensibility(open))) : _type
#else
#define _APPLEVZ_OPTIONS(_type, _name)                                                                                 \
    enum __attribute__((flag_enum, enum_extensibility(open))) _name : _type _name;                                     \
    enum _name : _type
#endif
#define _APPLEVZ_NAMED_ENUM(_type, _name)                                                                              \
    enum __attribute__((enum_extensibility(open))) _name : _type _name;                                                \
    enum _name : _type
#define _APPLEVZ_ANONYMOUS_ENUM(_type) enum __attribute__((enum_extensibility(open))) : _type
#define _APPLEVZ_SECOND(_first, _second, _third, ...) _third
#undef NS_ENUM
#define NS_ENUM(...) _APPLEVZ_SECOND(__VA_ARGS__, _APPLEVZ_NAMED_ENUM, _APPLEVZ_ANONYMOUS_ENUM)(__VA_ARGS__)
#undef NS_OPTIONS
#define NS_OPTIONS(_type, _name) _APPLEVZ_OPTIONS(_type, _name)
#undef NS_CLOSED_ENUM
#define NS_CLOSED_ENUM(_type, _name)                                                                                   \
    enum __attribute__((enum_extensibility(closed))) _name : _type _name;                                              \
    enum _name : _type

#ifndef NS_NOESCAPE
#define NS_NOESCAPE __attribute__((noescape))
#endif
#ifndef NS_REQUIRES_SUPER
#define NS_REQUIRES_SUPER __attribute__((objc_requires_super))
#endif
#ifndef NS_REQUIRES_NIL_TERMINATION
#define NS_REQUIRES_NIL_TERMINATION __attribute__((sentinel(0, 1)))
#endif
#ifndef NS_RETURNS_INNER_POINTER
#define NS_RETURNS_INNER_POINTER __attribute__((objc_returns_inner_pointer))
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
#import <Foundation/NSErrorKeys.h>
typedef NSString *NSFileAttributeKey;
typedef NSString *NSFileAttributeType;
typedef NSString *NSKeyValueChangeKey;
typedef NSString *NSURLResourceKey;

#if GNUSTEP_BASE_MAJOR_VERSION == 1 && GNUSTEP_BASE_MINOR_VERSION < 29
enum {
    NSFileWriteVolumeReadOnlyError = 642,
    NSPropertyListReadCorruptError = 3840,
    NSPropertyListReadUnknownVersionError = 3841,
    NSPropertyListReadStreamError = 3842,
    NSPropertyListWriteStreamError = 3851,
};
#endif

enum {
    NSJSONReadingFragmentsAllowed = NSJSONReadingAllowFragments,
    NSJSONWritingSortedKeys = 1UL << 1,
    NSJSONWritingFragmentsAllowed = 1UL << 2,
    NSJSONWritingWithoutEscapingSlashes = 1UL << 3,
};

typedef NSUInteger NSDataReadingOptions;
enum {
    NSDataReadingMappedIfSafe = 1UL << 0,
    NSDataReadingUncached = 1UL << 1,
    NSDataReadingMappedAlways = 1UL << 3,
};

typedef NSUInteger NSDataWritingOptions;
enum {
    NSDataWritingWithoutOverwriting = 1UL << 1,
};

typedef struct {
    NSInteger majorVersion;
    NSInteger minorVersion;
    NSInteger patchVersion;
} NSOperatingSystemVersion;

// CoreGraphics' name, which its Foundation brings.
typedef NSSize CGSize;

NS_ASSUME_NONNULL_BEGIN

@interface NSObject (ApplevzKeyValueObserving)
/// Ends all observations of that key path by that observer: which context each has is not looked at.
- (void)removeObserver:(NSObject *)observer forKeyPath:(NSString *)keyPath context:(nullable void *)context;
@end

@interface NSError (ApplevzUserInfo)
@property (nullable, readonly, copy) NSString *helpAnchor;
@property (readonly, copy) NSArray<NSError *> *underlyingErrors;
@end

@interface NSThread (ApplevzBlocks)
- (instancetype)initWithBlock:(void (^)(void))block;
+ (void)detachNewThreadWithBlock:(void (^)(void))block;
@end

@interface NSURL (ApplevzFileSystemRepresentation)
+ (instancetype)fileURLWithFileSystemRepresentation:(const char *)path
                                        isDirectory:(BOOL)isDirectory
                                      relativeToURL:(nullable NSURL *)baseURL;
/// The path as the C library takes it, valid as long as the innermost autorelease pool.
@property (readonly) const char *fileSystemRepresentation NS_RETURNS_INNER_POINTER;
/// NO where the buffer is too short.
- (BOOL)getFileSystemRepresentation:(char *)buffer maxLength:(NSUInteger)maxLength;
@end

@interface NSURL (ApplevzRelativeFileURLs)
/// A relative path is one of the folder that the base is or, where that does not end in a slash, lies in. Without a
/// base it is the current folder's.
+ (instancetype)fileURLWithPath:(NSString *)path relativeToURL:(nullable NSURL *)baseURL;
+ (instancetype)fileURLWithPath:(NSString *)path isDirectory:(BOOL)isDirectory relativeToURL:(nullable NSURL *)baseURL;
- (instancetype)initFileURLWithPath:(NSString *)path relativeToURL:(nullable NSURL *)baseURL;
- (instancetype)initFileURLWithPath:(NSString *)path
                        isDirectory:(BOOL)isDirectory
                      relativeToURL:(nullable NSURL *)baseURL;
@end

/// Read as a whole, whatever the options are: what is mapped could be cut off by others.
@interface NSData (ApplevzReading)
+ (nullable instancetype)dataWithContentsOfFile:(NSString *)path
                                        options:(NSDataReadingOptions)options
                                          error:(NSError *_Nullable *_Nullable)error;
+ (nullable instancetype)dataWithContentsOfURL:(NSURL *)url
                                       options:(NSDataReadingOptions)options
                                         error:(NSError *_Nullable *_Nullable)error;
- (nullable instancetype)initWithContentsOfFile:(NSString *)path
                                        options:(NSDataReadingOptions)options
                                          error:(NSError *_Nullable *_Nullable)error;
- (nullable instancetype)initWithContentsOfURL:(NSURL *)url
                                       options:(NSDataReadingOptions)options
                                         error:(NSError *_Nullable *_Nullable)error;
@end

@interface NSFileManager (ApplevzDirectories)
@property (readonly, copy) NSURL *temporaryDirectory;
@property (readonly, copy) NSURL *homeDirectoryForCurrentUser;
- (NSArray<NSURL *> *)URLsForDirectory:(NSSearchPathDirectory)directory inDomains:(NSSearchPathDomainMask)domains;
@end

@interface NSProcessInfo (ApplevzOperatingSystemVersion)
/// The macOS whose frameworks these are (see <Availability.h>), not the host's kernel.
@property (readonly) NSOperatingSystemVersion operatingSystemVersion;
- (BOOL)isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion)version;
@end

@interface NSRunLoop (ApplevzBlocks)
/// From any thread. The run loop calls the blocks in their order, each once, when it runs in one of the modes.
- (void)performBlock:(void (^)(void))block;
- (void)performInModes:(NSArray<NSRunLoopMode> *)modes block:(void (^)(void))block;
@end

@interface NSFileHandle (ApplevzHandlers)
/// Is called on a queue of the file handle's own while there is something to read, or the end was reached, until it is
/// set to nil or the file handle is closed. The file handle is kept as long.
@property (nullable, copy) void (^readabilityHandler)(NSFileHandle *fileHandle);
/// The same while something can be written.
@property (nullable, copy) void (^writeabilityHandler)(NSFileHandle *fileHandle);
@end

/// What the methods without `error` raise exceptions for. Errors are of NSCocoaErrorDomain, with the system's below
/// them.
@interface NSFileHandle (ApplevzErrors)
- (nullable NSData *)readDataToEndOfFileAndReturnError:(NSError *_Nullable *_Nullable)error;
- (nullable NSData *)readDataUpToLength:(NSUInteger)length error:(NSError *_Nullable *_Nullable)error;
- (BOOL)writeData:(NSData *)data error:(NSError *_Nullable *_Nullable)error;
- (BOOL)getOffset:(nullable unsigned long long *)offset error:(NSError *_Nullable *_Nullable)error;
- (BOOL)seekToEndReturningOffset:(nullable unsigned long long *)offset error:(NSError *_Nullable *_Nullable)error;
- (BOOL)seekToOffset:(unsigned long long)offset error:(NSError *_Nullable *_Nullable)error;
- (BOOL)truncateAtOffset:(unsigned long long)offset error:(NSError *_Nullable *_Nullable)error;
- (BOOL)synchronizeAndReturnError:(NSError *_Nullable *_Nullable)error;
- (BOOL)closeAndReturnError:(NSError *_Nullable *_Nullable)error;
@end

/// A task installs no signal handler, and is reaped by its own process identifier alone.
@interface NSTask (ApplevzURLs)
@property (nullable, copy) NSURL *executableURL;
@property (nullable, copy) NSURL *currentDirectoryURL;
/// Is called once, on a queue, when the process has ended; then there is no NSTaskDidTerminateNotification.
@property (nullable, copy) void (^terminationHandler)(NSTask *task);
@property NSQualityOfService qualityOfService;
- (BOOL)launchAndReturnError:(NSError *_Nullable *_Nullable)error;
+ (nullable NSTask *)launchedTaskWithExecutableURL:(NSURL *)url
                                         arguments:(NSArray<NSString *> *)arguments
                                             error:(NSError *_Nullable *_Nullable)error
                                terminationHandler:(nullable void (^)(NSTask *task))terminationHandler;
@end

// The BSDs' functions for strings, which the C library has from 2.38 on, and for the program's name.
#if !defined(__GLIBC_PREREQ) || !__GLIBC_PREREQ(2, 38)
static inline size_t strlcpy(char *destination, const char *source, size_t size) {
    size_t length = __builtin_strlen(source);
    if (size > 0) {
        size_t copied = length < size ? length : size - 1;
        __builtin_memcpy(destination, source, copied);
        destination[copied] = '\0';
    }
    return length;
}
static inline size_t strlcat(char *destination, const char *source, size_t size) {
    size_t used = 0;
    while (used < size && destination[used] != '\0')
        used++;
    return used + strlcpy(destination + used, source, size - used);
}
#endif
static inline const char *getprogname(void) {
    return program_invocation_short_name;
}

NS_ASSUME_NONNULL_END

// The BSDs' name and member for six octets; the C library here has only `struct ether_addr` with another member name.
typedef struct {
    uint8_t octet[6];
} ether_addr_t;

#import <CoreFoundation/CoreFoundation.h>
#import <dispatch/dispatch.h>

#endif
