// SPDX-License-Identifier: Apache-2.0
#import "QEMU/process/QEMUForkServer.h"
#import "VZVirtualMachine+Private.h"
#import "support/VZErrors+Private.h"
#import "support/VZFilePath+Private.h"

@implementation VZVirtualMachine (ForkServer)

+ (id)applevzForkServerWithLibraryURL:(NSURL *)url error:(NSError **)error {
    NSString *reason = nil;
    NSString *path = VZPathOfFileURL(url, &reason);
    if (path == nil) {
        VZRefuse(error, VZErrorWithReason(VZErrorInternal, nil, reason, nil, nil));
        return nil;
    }
    return QEMUHoldForkServer(path, error);
}

@end
