// SPDX-License-Identifier: Apache-2.0
#import "configuration/VZConfiguration+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "support/VZNetworkBlockDeviceURL+Private.h"

// QEMU counts whole seconds in 32 bits.
static const NSTimeInterval longestTimeout = INT32_MAX;

BOOL VZValidateDiskSynchronizationMode(VZDiskSynchronizationMode mode, NSError **error) {
    if (mode == VZDiskSynchronizationModeFull || mode == VZDiskSynchronizationModeNone) {
        return YES;
    }
    return VZRefuse(error,
                    VZInvalidConfigurationError([NSString stringWithFormat:@"synchronizationMode is %ld.", (long)mode],
                                                @"Use one of the values of VZDiskSynchronizationMode.", nil));
}

static VZNetworkBlockDeviceURL *parsed(NSURL *url, NSString *property, NSError **error) {
    NSString *reason = nil;
    VZNetworkBlockDeviceURL *result = [[VZNetworkBlockDeviceURL alloc] initWithURL:url reason:&reason];
    if (!result) {
        VZRefuse(error, VZInvalidConfigurationError([NSString stringWithFormat:@"%@ %@.", property, reason],
                                                    @"Give one like nbd://host:10809/export or "
                                                    @"nbd+unix:///export?socket=/path/of/socket.",
                                                    nil));
    }
    return result;
}

@implementation VZNetworkBlockDeviceStorageDeviceAttachment

- (instancetype)initWithURL:(NSURL *)URL error:(NSError **)error {
    return [self initWithURL:URL
                     timeout:5
              forcedReadOnly:NO
         synchronizationMode:VZDiskSynchronizationModeFull
                       error:error];
}

- (instancetype)initWithURL:(NSURL *)URL
                    timeout:(NSTimeInterval)timeout
             forcedReadOnly:(BOOL)forcedReadOnly
        synchronizationMode:(VZDiskSynchronizationMode)synchronizationMode
                      error:(NSError **)error {
    if (!URL) {
        [NSException raise:NSInvalidArgumentException
                    format:@"*** -[%@ %@]: URL is nil", [self class], NSStringFromSelector(_cmd)];
    }
    if (!(self = [super initForSubclass])) {
        return nil;
    }
    if (!parsed(URL, @"URL", error) || !VZValidateDiskSynchronizationMode(synchronizationMode, error)) {
        return nil;
    }
    if (!(timeout > 0 && timeout <= longestTimeout)) {
        VZRefuse(error, VZInvalidConfigurationError(
                            [NSString stringWithFormat:@"timeout is %g seconds.", timeout],
                            [NSString stringWithFormat:@"Give a number that is greater than 0 and at most %.0f.",
                                                       longestTimeout],
                            nil));
        return nil;
    }
    _URL = [URL copy];
    _timeout = timeout;
    _forcedReadOnly = forcedReadOnly;
    _synchronizationMode = synchronizationMode;
    return self;
}

+ (BOOL)validateURL:(NSURL *)URL error:(NSError **)error {
    return parsed(URL, @"URL", error) != nil;
}

- (VZNetworkBlockDeviceURL *)server {
    return parsed(self.URL, @"URL", NULL);
}

- (BOOL)isWritable {
    return !self.isForcedReadOnly;
}

- (NSString *)propertyOfData {
    return @"URL";
}

- (NSString *)shownData {
    return VZQuoted(self.URL.absoluteString);
}

- (id)identityAs:(NSString *)property error:(NSError **)error {
    return parsed(self.URL, property, error).canonicalText;
}

@end
