// SPDX-License-Identifier: Apache-2.0
// Objective-C++, and names of Foundation and the C library that programs for macOS take for granted. Prints what it
// finds.
#import <Foundation/Foundation.h>
#import <Virtualization/Virtualization.h>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <stdlib.h>
#include <string>
#include <unistd.h>
#include <vector>

typedef NS_OPTIONS(NSUInteger, Parts) { PartsDisk = 1 << 0, PartsNetwork = 1 << 1 };
typedef NS_ENUM(NSInteger, Phase) { PhaseFirst = 1 };

class Guard {
  public:
    explicit Guard(std::string name) : name_(std::move(name)) {}
    Guard(const Guard &) = delete;
    Guard &operator=(const Guard &) = delete;
    ~Guard() { printf("destroyed %s\n", name_.c_str()); }

  private:
    std::string name_;
};

@interface Holder : NSObject
@property (nonatomic, readonly) size_t count;
- (void)add:(std::function<int(int)>)work;
@end

@implementation Holder {
    std::vector<std::function<int(int)>> _works;
    std::unique_ptr<Guard> _guard;
}
- (instancetype)init {
    if ((self = [super init]))
        _guard = std::make_unique<Guard>("with its object");
    return self;
}
- (void)add:(std::function<int(int)>)work {
    _works.push_back(std::move(work));
}
- (size_t)count {
    return _works.size();
}
@end

static const char *nameOf(Phase phase) {
    switch (phase) {
    case PhaseFirst:
        return "first";
    case static_cast<Phase>(7):
        return "of a later release";
    }
    return "unknown";
}

static void raise(const char *name) {
    Guard guard("by an exception that passes");
    [NSException raise:@(name) format:@"%s", "raised"];
}

int main() {
    @autoreleasepool {
        Holder *holder = [[Holder alloc] init];
        VZMACAddress *address = [VZMACAddress randomLocallyAdministeredAddress];
        [holder add:[address](int by) { return by * static_cast<int>(address.string.length); }];
        printf("%zu function\n", holder.count);
        holder = nil;

        try {
            raise("Passing");
        } catch (...) {
            printf("caught\n");
        }
        try {
            @try {
                throw std::string("one of C++");
            } @finally {
                printf("finally\n");
            }
        } catch (const std::string &text) {
            printf("caught %s\n", text.c_str());
        }

        Parts parts = PartsDisk | PartsNetwork;
        printf("parts %lu, phase %s\n", static_cast<unsigned long>(parts), nameOf(static_cast<Phase>(7)));

        NSURL *folder = [NSURL fileURLWithFileSystemRepresentation:"/dev" isDirectory:YES relativeToURL:nil];
        NSURL *file = [NSURL fileURLWithFileSystemRepresentation:"null" isDirectory:NO relativeToURL:folder];
        char path[16] = "", tooShort[4];
        BOOL fits = [file getFileSystemRepresentation:path maxLength:sizeof path];
        printf("%s %s %d %d\n", file.fileSystemRepresentation, path, fits,
               [file getFileSystemRepresentation:tooShort maxLength:sizeof tooShort]);

        dispatch_semaphore_t done = dispatch_semaphore_create(0);
        __block NSString *name = nil;
        NSThread *thread = [[NSThread alloc] initWithBlock:^{
            name = NSThread.currentThread.name;
            dispatch_semaphore_signal(done);
        }];
        thread.name = @"with a block";
        [thread start];
        dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
        printf("%s\n", name.UTF8String);
        [NSThread detachNewThreadWithBlock:^{
            dispatch_semaphore_signal(done);
        }];
        dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);

        int primary = posix_openpt(O_RDWR | O_NOCTTY);
        printf("%s\n",
               primary >= 0 && grantpt(primary) == 0 && unlockpt(primary) == 0 && ptsname(primary) ? "terminal" : "?");
        close(primary);
    }
    return 0;
}
