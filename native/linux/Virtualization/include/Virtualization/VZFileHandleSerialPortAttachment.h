// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZSerialPortAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/// Connects a serial port to file descriptors of this process, such as a pipe's or a terminal's.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZFileHandleSerialPortAttachment : VZSerialPortAttachment

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// A handle is nil or has an open descriptor; one whose descriptor is closed raises NSInvalidArgumentException. The
/// attachment keeps the handles, and so keeps their descriptors open.
- (instancetype)initWithFileHandleForReading:(nullable NSFileHandle *)fileHandleForReading
                        fileHandleForWriting:(nullable NSFileHandle *)fileHandleForWriting NS_DESIGNATED_INITIALIZER;

/// What is read from here goes to the guest.
@property (readonly, strong, nullable) NSFileHandle *fileHandleForReading;

/// What the guest sends is written here.
@property (readonly, strong, nullable) NSFileHandle *fileHandleForWriting;

@end

NS_ASSUME_NONNULL_END
