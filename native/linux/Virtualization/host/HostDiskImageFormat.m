// SPDX-License-Identifier: Apache-2.0
#import "HostDiskImageFormat.h"
#include <string.h>
#include <unistd.h>

static const struct {
    size_t offset;
    size_t length;
    const char *bytes;
    NSString *const __unsafe_unretained name;
} signatures[] = {
    {0, 8, "QFI\xfb\0\0\0\1", @"qcow"},
    {0, 4, "QFI\xfb", @"qcow2"},
    {0, 4, "QED\0", @"QED"},
    {0, 4, "KDMV", @"VMDK"},
    {0, 4, "COWD", @"VMDK"},
    {0, 21, "# Disk DescriptorFile", @"VMDK"},
    {0x40, 4, "\x7f\x10\xda\xbe", @"VDI"},
    {0, 8, "vhdxfile", @"VHDX"},
    {0, 8, "conectix", @"VHD"},
    {0, 16, "WithoutFreeSpace", @"Parallels"},
    {0, 16, "WithouFreSpacExt", @"Parallels"},
    {0, 4, "shdw", @"ASIF"},
    {0, 3, "\x1f\x8b\x08", @"gzip-compressed"},
    {0, 6,
     "\xfd"
     "7zXZ\0",
     @"xz-compressed"},
    {0, 4, "\x28\xb5\x2f\xfd", @"zstd-compressed"},
    {0, 4, "\x04\x22\x4d\x18", @"lz4-compressed"},
    {4, 6, "\x31\x41\x59\x26\x53\x59", @"bzip2-compressed"},
    {0, 4, "PK\3\4", @"ZIP"},
};

NSString *HostDiskImageForeignFormat(int fileDescriptor) {
    unsigned char head[512];
    ssize_t length = pread(fileDescriptor, head, sizeof head, 0);
    for (size_t i = 0; length > 0 && i < sizeof signatures / sizeof *signatures; i++) {
        if (signatures[i].offset + signatures[i].length <= (size_t)length &&
            memcmp(head + signatures[i].offset, signatures[i].bytes, signatures[i].length) == 0) {
            return signatures[i].name;
        }
    }
    return nil;
}
