// SPDX-License-Identifier: Apache-2.0
#import "QEMUFirmware.h"
#import "../VZErrors+Private.h"
#import "../VZHostFile+Private.h"
#import "QEMUVariableStore.h"
#import <errno.h>
#import <fnmatch.h>
#import <stdlib.h>
#import <sys/stat.h>

// A q35 takes no more for both images (its property max-fw-size).
enum { LARGEST_SIZE = 8 << 20, PAGE_SIZE = 4096, LARGEST_DESCRIPTOR = 1 << 16 };

static NSString *const MachineType = @"pc-q35-7.2";
static NSString *const InstallAdvice = @"Install EFI firmware for x86-64 (Debian and Ubuntu: the package ovmf; Fedora: "
                                       @"edk2-ovmf).";

/// Where distributions have it whose packages brought no descriptor.
static NSString *const KnownPairs[][2] = {
    {@"/usr/share/OVMF/OVMF_CODE_4M.fd", @"/usr/share/OVMF/OVMF_VARS_4M.fd"},
    {@"/usr/share/edk2/x64/OVMF_CODE.4m.fd", @"/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
    {@"/usr/share/edk2/ovmf/OVMF_CODE.fd", @"/usr/share/edk2/ovmf/OVMF_VARS.fd"},
};

static NSString *environment(const char *name) {
    // getenv, not NSProcessInfo, which keeps the environment of the moment when it was first asked.
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? [NSString stringWithUTF8String:value] : nil;
}

/// The folders of descriptors, from the most to the least important one.
static NSArray<NSString *> *folders(void) {
    NSString *named = environment("APPLEVZ_QEMU_FIRMWARE");
    if (named != nil)
        return @[ named ];
    NSString *home = environment("HOME");
    NSString *users = environment("XDG_CONFIG_HOME") ?: [home stringByAppendingPathComponent:@".config"];
    NSMutableArray<NSString *> *all = [NSMutableArray array];
    if (users.isAbsolutePath)
        [all addObject:[users stringByAppendingPathComponent:@"qemu/firmware"]];
    [all addObjectsFromArray:@[ @"/etc/qemu/firmware", @"/usr/local/share/qemu/firmware", @"/usr/share/qemu/firmware" ]];
    return all;
}

/// The descriptors' paths: by their names, of which one hides the same in a less important folder.
static NSArray<NSString *> *descriptors(void) {
    NSMutableDictionary<NSString *, NSString *> *paths = [NSMutableDictionary dictionary];
    for (NSString *folder in folders())
        for (NSString *name in [[NSFileManager defaultManager] contentsOfDirectoryAtPath:folder error:NULL])
            if ([name hasSuffix:@".json"] && paths[name] == nil)
                paths[name] = [folder stringByAppendingPathComponent:name];
    NSMutableArray<NSString *> *sorted = [NSMutableArray array];
    for (NSString *name in [paths.allKeys sortedArrayUsingSelector:@selector(compare:)])
        [sorted addObject:paths[name]];
    return sorted;
}

static id of_class(Class class, id object) {
    return [object isKindOfClass:class] ? object : nil;
}

static NSDictionary *read_descriptor(NSString *path) {
    struct stat status;
    // An empty one is how an administrator hides a distribution's.
    if (stat(path.fileSystemRepresentation, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0 ||
        status.st_size > LARGEST_DESCRIPTOR)
        return nil;
    NSData *data = [NSData dataWithContentsOfFile:path];
    if (data == nil)
        return nil;
    @try {
        return of_class([NSDictionary class], [NSJSONSerialization JSONObjectWithData:data options:0 error:NULL]);
    } @catch (NSException *exception) {
        return nil;
    }
}

static BOOL runs_on_machine(NSDictionary *descriptor) {
    for (id target in of_class([NSArray class], descriptor[@"targets"])) {
        NSDictionary *dictionary = of_class([NSDictionary class], target);
        if (![dictionary[@"architecture"] isEqual:@"x86_64"])
            continue;
        for (id pattern in of_class([NSArray class], dictionary[@"machines"]))
            if ([pattern isKindOfClass:[NSString class]] &&
                fnmatch([pattern UTF8String], MachineType.UTF8String, 0) == 0)
                return YES;
    }
    return NO;
}

/// Secure boot needs a machine with system management mode, and refuses what is not signed.
static BOOL boots_anything(NSDictionary *descriptor) {
    NSArray *features = of_class([NSArray class], descriptor[@"features"]);
    return ![features containsObject:@"requires-smm"] && ![features containsObject:@"secure-boot"] &&
           ![features containsObject:@"enrolled-keys"];
}

static NSString *raw_file(id object) {
    NSDictionary *file = of_class([NSDictionary class], object);
    NSString *name = of_class([NSString class], file[@"filename"]);
    return [file[@"format"] isEqual:@"raw"] && name.isAbsolutePath && VZUTF8Data(name) != nil ? name : nil;
}

@implementation QEMUFirmware {
    NSString *_variablesPath;
}

/// nil where the two are not images of flash memory that a q35 can have.
- (instancetype)initWithCode:(NSString *)code variables:(NSString *)variables {
    self = [super init];
    struct stat code_status, variables_status;
    if (self == nil || code == nil || variables == nil || stat(code.UTF8String, &code_status) != 0 ||
        stat(variables.UTF8String, &variables_status) != 0 || !S_ISREG(code_status.st_mode) ||
        !S_ISREG(variables_status.st_mode))
        return nil;
    _codePath = code;
    _codeSize = (uint64_t)code_status.st_size;
    _variablesPath = variables;
    _variablesSize = (uint64_t)variables_status.st_size;
    BOOL whole = _codeSize > 0 && _variablesSize > 0 && _codeSize % PAGE_SIZE == 0 && _variablesSize % PAGE_SIZE == 0;
    return whole && _codeSize <= LARGEST_SIZE && _variablesSize <= LARGEST_SIZE - _codeSize ? self : nil;
}

+ (instancetype)firmwareOfDescriptor:(NSDictionary *)descriptor {
    NSDictionary *mapping = of_class([NSDictionary class], descriptor[@"mapping"]);
    NSString *mode = mapping[@"mode"] ?: @"split";
    if (![of_class([NSArray class], descriptor[@"interface-types"]) containsObject:@"uefi"] ||
        ![mapping[@"device"] isEqual:@"flash"] || ![mode isEqual:@"split"] || !runs_on_machine(descriptor) ||
        !boots_anything(descriptor))
        return nil;
    return [[self alloc] initWithCode:raw_file(mapping[@"executable"]) variables:raw_file(mapping[@"nvram-template"])];
}

+ (instancetype)firmwareWithError:(NSError **)error {
    for (NSString *path in descriptors()) {
        QEMUFirmware *firmware = [self firmwareOfDescriptor:read_descriptor(path)];
        if (firmware != nil)
            return firmware;
    }
    NSString *named = environment("APPLEVZ_QEMU_FIRMWARE");
    for (size_t i = 0; named == nil && i < sizeof KnownPairs / sizeof *KnownPairs; i++) {
        QEMUFirmware *firmware = [[self alloc] initWithCode:KnownPairs[i][0] variables:KnownPairs[i][1]];
        if (firmware != nil)
            return firmware;
    }
    NSString *reason = [NSString
        stringWithFormat:@"No descriptor in %@ names EFI firmware for a q35 machine without secure boot, of two raw images "
                         @"that are there; it comes with the package ovmf.",
                         [folders() componentsJoinedByString:@", "]];
    VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"There is no EFI firmware on this host.", reason, InstallAdvice,
                                      nil));
    return nil;
}

- (NSData *)emptyVariablesWithError:(NSError **)error {
    NSString *reason = nil;
    int number = 0;
    VZHostFile *file = [[VZHostFile alloc] initWithPath:_variablesPath
                                               writable:NO
                                           blockDevices:NO
                                                 reason:&reason
                                            errorNumber:&number];
    if (file != nil && (reason = QEMUVariableStoreDamage(file.fileDescriptor, _variablesSize)) == nil) {
        NSData *data = [NSData dataWithContentsOfFile:_variablesPath];
        if (data.length == _variablesSize)
            return data;
        reason = @"cannot be read";
    }
    reason = [NSString stringWithFormat:@"The host's empty variable store %@%@.",
                                        file != nil ? [VZQuoted(_variablesPath) stringByAppendingString:@" "] : @"", reason];
    VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"The EFI firmware on this host cannot be used.", reason,
                                      @"Install the package that it comes with again.",
                                      number != 0 ? VZSystemCallError(number, _variablesPath) : nil));
    return nil;
}

@end
