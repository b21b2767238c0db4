// SPDX-License-Identifier: Apache-2.0
#import "QEMUFirmware.h"
#import "support/VZErrors+Private.h"
#import "support/VZHostFile+Private.h"
#import "QEMUDescription.h"
#import "QEMUVariableStore.h"
#import <fnmatch.h>
#import <json_values.h>
#import <sys/stat.h>

// A q35 takes no more for both images (its property max-fw-size).
enum { LARGEST_SIZE = 8 << 20, FLASH_PAGE_SIZE = 4096 };

static NSString *const MachineType = @"pc-q35-7.2";
static NSString *const InstallFirmwareAdvice =
    @"Install EFI firmware for x86-64 (Debian and Ubuntu: the package ovmf; Fedora: "
    @"edk2-ovmf).";

/// Where distributions have it whose packages brought no descriptor.
static NSString *const KnownPairs[][2] = {
    {@"/usr/share/OVMF/OVMF_CODE_4M.fd", @"/usr/share/OVMF/OVMF_VARS_4M.fd"},
    {@"/usr/share/edk2/x64/OVMF_CODE.4m.fd", @"/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
    {@"/usr/share/edk2/ovmf/OVMF_CODE.fd", @"/usr/share/edk2/ovmf/OVMF_VARS.fd"},
};

/// The folders of descriptors, from the most to the least important one.
static NSArray<NSString *> *folders(void) {
    NSString *named = VZPathInEnvironment("APPLEVZ_QEMU_FIRMWARE");
    if (named != nil)
        return @[ named ];
    NSString *home = VZPathInEnvironment("HOME");
    NSString *users = VZPathInEnvironment("XDG_CONFIG_HOME") ?: [home stringByAppendingString:@"/.config"];
    NSMutableArray<NSString *> *all = [NSMutableArray array];
    if ([users hasPrefix:@"/"])
        [all addObject:[users stringByAppendingString:@"/qemu/firmware"]];
    [all
        addObjectsFromArray:@[ @"/etc/qemu/firmware", @"/usr/local/share/qemu/firmware", @"/usr/share/qemu/firmware" ]];
    return all;
}

static BOOL runs_on_machine(NSDictionary *descriptor) {
    for (id target in applevz_json_array(descriptor, @"targets")) {
        if (![applevz_json_text(target, @"architecture") isEqualToString:@"x86_64"])
            continue;
        for (id pattern in applevz_json_array(target, @"machines"))
            if ([pattern isKindOfClass:[NSString class]] &&
                fnmatch([pattern UTF8String], MachineType.UTF8String, 0) == 0)
                return YES;
    }
    return NO;
}

/// Secure boot needs a machine with system management mode, and refuses what is not signed.
static BOOL boots_anything(NSDictionary *descriptor) {
    NSArray *features = applevz_json_array(descriptor, @"features");
    return ![features containsObject:@"requires-smm"] && ![features containsObject:@"secure-boot"] &&
           ![features containsObject:@"enrolled-keys"];
}

static NSString *raw_file(NSDictionary *file) {
    NSString *name = applevz_json_text(file, @"filename");
    return [applevz_json_text(file, @"format") isEqualToString:@"raw"] && [name hasPrefix:@"/"] ? name : nil;
}

/// One of the images, open, in which the block finds nothing wrong; it says what is, to complete a sentence with.
static VZHostFile *open_image(NSString *path, NSString *name, NSString * (^fault_of)(VZHostFile *file),
                              NSError **error) {
    NSString *reason = nil;
    int number = 0;
    VZHostFile *file = [[VZHostFile alloc] initForReadingPath:path reason:&reason errorNumber:&number];
    NSString *fault = file != nil ? fault_of(file) : nil;
    if (file != nil && fault == nil)
        return file;
    if (fault != nil)
        reason = [NSString stringWithFormat:@"%@ %@", VZQuoted(path), fault];
    reason = [NSString stringWithFormat:@"The host's %@ %@.", name, reason];
    VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"The EFI firmware on this host cannot be used.", reason,
                                      @"Install the package that it comes with again.",
                                      number != 0 ? VZSystemCallError(number, path) : nil));
    return nil;
}

@implementation QEMUFirmware {
    NSString *_codePath;
    NSString *_variablesPath;
}

/// nil where the two are not images of flash memory that a q35 can have.
- (instancetype)initWithCode:(NSString *)code variables:(NSString *)variables {
    self = [super init];
    struct stat code_status, variables_status;
    if (self == nil || code == nil || variables == nil || stat(VZBytesOfPath(code), &code_status) != 0 ||
        stat(VZBytesOfPath(variables), &variables_status) != 0 || !S_ISREG(code_status.st_mode) ||
        !S_ISREG(variables_status.st_mode))
        return nil;
    _codePath = code;
    _codeSize = (uint64_t)code_status.st_size;
    _variablesPath = variables;
    _variablesSize = (uint64_t)variables_status.st_size;
    BOOL whole = _codeSize > 0 && _variablesSize > 0 && _codeSize % FLASH_PAGE_SIZE == 0 &&
                 _variablesSize % FLASH_PAGE_SIZE == 0;
    return whole && _codeSize <= LARGEST_SIZE && _variablesSize <= LARGEST_SIZE - _codeSize ? self : nil;
}

+ (instancetype)firmwareOfDescriptor:(nullable NSDictionary *)descriptor {
    NSDictionary *mapping = applevz_json_object(descriptor, @"mapping");
    BOOL isSplit = mapping[@"mode"] == nil || [applevz_json_text(mapping, @"mode") isEqualToString:@"split"];
    if (![applevz_json_array(descriptor, @"interface-types") containsObject:@"uefi"] ||
        ![applevz_json_text(mapping, @"device") isEqualToString:@"flash"] || !isSplit || !runs_on_machine(descriptor) ||
        !boots_anything(descriptor))
        return nil;
    return [[self alloc] initWithCode:raw_file(applevz_json_object(mapping, @"executable"))
                            variables:raw_file(applevz_json_object(mapping, @"nvram-template"))];
}

+ (instancetype)firmwareWithError:(NSError **)error {
    for (NSString *path in QEMUDescriptionsInFolders(folders())) {
        QEMUFirmware *firmware = [self firmwareOfDescriptor:QEMUDescriptionInFile(path)];
        if (firmware != nil)
            return firmware;
    }
    NSString *named = VZPathInEnvironment("APPLEVZ_QEMU_FIRMWARE");
    for (size_t i = 0; named == nil && i < sizeof KnownPairs / sizeof *KnownPairs; i++) {
        QEMUFirmware *firmware = [[self alloc] initWithCode:KnownPairs[i][0] variables:KnownPairs[i][1]];
        if (firmware != nil)
            return firmware;
    }
    NSString *reason = [NSString
        stringWithFormat:
            @"No descriptor in %@ names EFI firmware for a q35 machine without secure boot, of two raw images "
            @"that are there; it comes with the package ovmf.",
            [folders() componentsJoinedByString:@", "]];
    VZRefuse(error, VZErrorWithReason(VZErrorNotSupported, @"There is no EFI firmware on this host.", reason,
                                      InstallFirmwareAdvice, nil));
    return nil;
}

- (VZHostFile *)openCodeWithError:(NSError **)error {
    uint64_t size = _codeSize;
    return open_image(
        _codePath, @"EFI firmware",
        ^NSString *(VZHostFile *file) {
            return file.size == size ? nil : @"has changed its size";
        },
        error);
}

- (NSData *)emptyVariablesWithError:(NSError **)error {
    uint64_t size = _variablesSize;
    __block NSData *data = nil;
    VZHostFile *file = open_image(
        _variablesPath, @"empty variable store",
        ^NSString *(VZHostFile *opened) {
            NSString *damage = QEMUVariableStoreDamage(opened.fileDescriptor, size);
            if (damage != nil)
                return damage;
            data = [opened dataOfAtMost:(NSUInteger)size];
            return data.length == size ? nil : @"cannot be read";
        },
        error);
    return file != nil ? data : nil;
}

@end
