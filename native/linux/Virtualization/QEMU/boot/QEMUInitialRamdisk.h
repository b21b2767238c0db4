// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

@class HostDescriptor, VZHostFile;

NS_ASSUME_NONNULL_BEGIN

// A microvm's initial RAM disk, and the tables of its firmware.
//
// QEMU puts the initial RAM disk at the end of the memory, from the start of a page on (hw/i386/x86.c). Before that the
// firmware (qboot) has put the ACPI tables at the very end, and QEMU leaves no room for them. So a RAM disk that fills
// its last page to more than the beginning overwrites them, and the kernel hangs at boot, before it can say a word. A
// RAM disk whose length is a multiple of the page leaves a whole page, since QEMU takes one byte less than there is.

/// The file as a microvm gets it: itself if it leaves the tables their room, or else a copy with zeros behind it, up to
/// the end of the page, which the kernel skips. nil, with an error of NSPOSIXErrorDomain.
HostDescriptor *_Nullable QEMUInitialRamdiskOfMicrovm(VZHostFile *file, NSError **error);

/// Whether no such copy can be made of the file: at its very end the kernel looks for its boot configuration
/// (Documentation/admin-guide/bootconfig.rst).
BOOL QEMUInitialRamdiskNeedsPC(VZHostFile *file);

NS_ASSUME_NONNULL_END
