// SPDX-License-Identifier: Apache-2.0
#import "QEMUInitialRamdisk.h"
#import "support/HostDescriptor.h"
#import "support/HostFileTransfer.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import <string.h>

// The tables of a machine with as many devices as a microvm may have take less than the rest of the page.
enum { PAGE_LENGTH = 4096, MOST_IN_LAST_PAGE = 512 };

static const char BOOT_CONFIGURATION[] = "#BOOTCONFIG\n";

static BOOL leaves_room(VZHostFile *file) {
    return file.size % PAGE_LENGTH <= MOST_IN_LAST_PAGE;
}

BOOL QEMUInitialRamdiskNeedsPC(VZHostFile *file) {
    // A boot loader may have put up to three bytes behind it.
    enum { MARK_LENGTH = sizeof BOOT_CONFIGURATION - 1, BEHIND = 3 };
    char end[MARK_LENGTH + BEHIND];
    return !leaves_room(file) && file.size >= sizeof end &&
           host_read_at(file.fileDescriptor, end, sizeof end, (off_t)(file.size - sizeof end)) == 0 &&
           memmem(end, sizeof end, BOOT_CONFIGURATION, MARK_LENGTH) != NULL;
}

HostDescriptor *QEMUInitialRamdiskOfMicrovm(VZHostFile *file, NSError **error) {
    if (leaves_room(file))
        return [HostDescriptor duplicateOf:file.fileDescriptor error:error];
    uint64_t pages = file.size / PAGE_LENGTH + 1;
    HostDescriptor *copy = [HostDescriptor memoryOfSize:pages * PAGE_LENGTH error:error];
    int failure = copy != nil ? host_copy(file.fileDescriptor, copy.number, (off_t)file.size) : 0;
    if (failure != 0) {
        *error = VZSystemCallError(failure, nil);
        return nil;
    }
    return copy;
}
