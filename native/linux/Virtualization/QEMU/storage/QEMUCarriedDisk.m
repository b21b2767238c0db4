// SPDX-License-Identifier: Apache-2.0
#import "QEMUCarriedDisk.h"

@implementation QEMUDiskLayer

- (instancetype)initWithFile:(HostDescriptor *)file
                    position:(uint64_t)position
                      length:(uint64_t)length
                    checksum:(uint64_t)checksum {
    self = [super init];
    if (self != nil) {
        _file = file;
        _position = position;
        _length = length;
        _checksum = checksum;
    }
    return self;
}

- (instancetype)initWithFile:(HostDescriptor *)file {
    return [self initWithFile:file position:0 length:0 checksum:0];
}

@end

@implementation QEMUCarriedDisk

- (instancetype)initWithName:(NSString *)name layers:(NSArray<QEMUDiskLayer *> *)layers size:(uint64_t)size {
    self = [super init];
    if (self != nil) {
        _name = name;
        _layers = layers;
        _size = size;
    }
    return self;
}

@end
