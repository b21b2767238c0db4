// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZSerialPortAttachment.h>

NS_ASSUME_NONNULL_BEGIN

/// Writes what the guest sends on a serial port into a file. The guest gets no input.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZFileSerialPortAttachment : VZSerialPortAttachment

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

/// The file is made if it does not exist. With shouldAppend, output is added to its end; otherwise it replaces what the
/// file held. nil and an error if the file cannot be written.
- (nullable instancetype)initWithURL:(NSURL *)url
                              append:(BOOL)shouldAppend
                               error:(NSError **)error NS_DESIGNATED_INITIALIZER;

/// The file on this host.
@property (readonly, copy) NSURL *URL;

/// Whether output is added to the end of the file.
@property (readonly) BOOL append;

@end

NS_ASSUME_NONNULL_END
