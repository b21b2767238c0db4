// SPDX-License-Identifier: Apache-2.0
#import "NSSystemString.h"
#import "support/VZHostFile+Private.h"

const char *NSSystemString(NSString *string) {
    __autoreleasing NSData *data = VZUTF8Data(string);
    return data != nil && strlen(data.bytes) + 1 == data.length ? data.bytes : NULL;
}
