// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// One file descriptor, closed exactly once: with this object.
@interface HostDescriptor : NSObject

/// Takes the descriptor over.
- (instancetype)initWithDescriptor:(int)descriptor NS_DESIGNATED_INITIALIZER;
- (instancetype)init NS_UNAVAILABLE;

/// A duplicate of one that stays its owner's. nil, with an error of NSPOSIXErrorDomain, where it cannot be made.
+ (nullable instancetype)duplicateOf:(int)descriptor error:(NSError **)error;

/// Opens the file. One that is made for that is this user's alone, whatever the umask. nil, with an error of
/// NSPOSIXErrorDomain, where it cannot be.
+ (nullable instancetype)openPath:(NSString *)path flags:(int)flags error:(NSError **)error;

/// The same of a new file in a folder: the flags make one, or refuse.
+ (nullable instancetype)createIn:(HostDescriptor *)folder
                             name:(NSString *)name
                            flags:(int)flags
                            error:(NSError **)error;

/// A file in memory, without a name, of that size and without data. nil, with an error of NSPOSIXErrorDomain.
+ (nullable instancetype)memoryOfSize:(uint64_t)size error:(NSError **)error;

/// A file in memory, without a name, that has those bytes and is open for reading. Nobody can change it any more, who
/// has it as little as who opens it anew: what one QEMU is given is later given to another. nil, with an error of
/// NSPOSIXErrorDomain.
+ (nullable instancetype)sealedMemoryWithBytes:(const void *)bytes length:(size_t)length error:(NSError **)error;

/// Whether it is a file in memory.
@property (readonly) BOOL isMemory;

/// A file without a name in the file system of that folder, of that size and without data. nil, with an error of
/// NSPOSIXErrorDomain.
+ (nullable instancetype)namelessFileIn:(NSString *)folder size:(uint64_t)size error:(NSError **)error;

/// The same file, opened anew, as the flags say: with a position of its own. nil, with an error of NSPOSIXErrorDomain.
- (nullable HostDescriptor *)reopenedWithFlags:(int)flags error:(NSError **)error;

/// Two ends of a stream socket; both non-blocking for whoever holds them.
+ (nullable NSArray<HostDescriptor *> *)socketPairWithError:(NSError **)error;

/// A socket that waits for a connection, and the one connection to it that it has room for, non-blocking: for a program
/// that accepts its connection itself.
+ (nullable NSArray<HostDescriptor *> *)listeningPairWithError:(NSError **)error;

/// The reading and the writing end of a pipe.
+ (nullable NSArray<HostDescriptor *> *)pipeWithError:(NSError **)error;

@property (readonly) int number;

/// Gives the descriptor away: it is the caller's, and this object has none.
- (int)relinquish;

@end

NS_ASSUME_NONNULL_END
