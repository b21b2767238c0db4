// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

// The files that a refusal may be about. Apple's framework refuses many files without saying what is wrong with them,
// or with an errno that is not the file's. Then the bridge looks at the files, and puts what it finds beneath the
// refusal.
//
// A look changes nothing, waits for nobody and opens nothing. A FIFO or a device does something when it is opened, and
// this process loses its locks (fcntl) on a file when it closes a descriptor of it. The look is for the words alone:
// the file may have changed since.

/// What the framework does with a file that it is given.
typedef NS_OPTIONS(NSUInteger, AppleVZFileUse) {
    AppleVZFileIsRead = 1 << 0,
    AppleVZFileIsWritten = 1 << 1,
    AppleVZFileIsFolder = 1 << 2,
    AppleVZFileIsSocket = 1 << 3,
    /// It is made if it is missing.
    AppleVZFileIsMade = 1 << 4,
    /// It is made, and may not be there.
    AppleVZFileIsNew = 1 << 5,
    /// It is made, and takes the place of a regular file.
    AppleVZFileReplaces = 1 << 6,
};

/// A file that was named, and where: "URL", "storageDevices[0].attachment.URL".
@interface AppleVZNamedFile : NSObject

- (instancetype)initWithPath:(const char *)path
                      length:(size_t)length
                       field:(NSString *)field
                         use:(AppleVZFileUse)use NS_DESIGNATED_INITIALIZER;
/// nil for a URL that is not a file's.
- (nullable instancetype)initWithURL:(nullable NSURL *)url field:(NSString *)field use:(AppleVZFileUse)use;
- (instancetype)init NS_UNAVAILABLE;

@end

/// The refusal with what the files say of it: the errno that is found goes beneath, in the place of one that stands for
/// many faults, and the file is named. It is about the `subject`, if there is one, or else may be about any of the
/// `others`. The refusal itself, if that says all already, or is about no file, or nothing is found. nil for nil.
NSError *_Nullable applevz_refusal_of_files(NSError *_Nullable refusal, AppleVZNamedFile *_Nullable subject,
                                            NSArray<AppleVZNamedFile *> *_Nullable others);

/// The same error, which names that file.
NSError *applevz_error_with_file(NSError *error, const char *path, size_t length);

NS_ASSUME_NONNULL_END
