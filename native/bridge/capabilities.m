// SPDX-License-Identifier: Apache-2.0
#import "applevz.h"
#import "applevz_extensions.h"
#import "boundary/entitlements.h"
#import "boundary/errors.h"
#import "boundary/guard.h"
#import "boundary/missing_capabilities.h"
#import "boundary/text.h"
#import <Virtualization/Virtualization.h>

static NSError *not_supported(NSString *description, NSString *reason, NSString *suggestion) {
    return applevz_error(VZErrorDomain, VZErrorNotSupported, description, reason, suggestion);
}

static NSError *feature_missing(NSString *name) {
    Class<AppleVZMachineExtensions> extensions = (Class)[VZVirtualMachine class];
    if ([VZVirtualMachine respondsToSelector:@selector(applevzErrorOfFeature:)])
        return [extensions applevzErrorOfFeature:name];
    return nil;
}

static NSError *virtualization_missing(void) {
    if (VZVirtualMachine.isSupported)
        return applevz_process_refusal() ?: feature_missing(@"virtualization");
    Class<AppleVZMachineExtensions> extensions = (Class)[VZVirtualMachine class];
    NSError *reason = nil;
    if ([VZVirtualMachine respondsToSelector:@selector(applevzUnsupportedError)])
        reason = [extensions applevzUnsupportedError];
    // Where the process is to blame, the host may be as well: that is told once the process is not.
    return reason ?: applevz_process_refusal() ?: not_supported(@"This host cannot run virtual machines.",
                                   @"The virtualization framework says that it is not supported here.",
                                   @"Use a host whose processor and system support virtualization.");
}

static NSError *hardware_acceleration_missing(void) {
    Class<AppleVZMachineExtensions> extensions = (Class)[VZVirtualMachine class];
    if ([VZVirtualMachine respondsToSelector:@selector(applevzHardwareAccelerationError)])
        return [extensions applevzHardwareAccelerationError] ?: virtualization_missing()
                                                             ?: feature_missing(@"hardware_acceleration");
    // Where the framework runs machines at all, it runs them on the processor.
    return virtualization_missing();
}

static NSError *sound_missing(void) {
    Class<AppleVZMachineExtensions> extensions = (Class)[VZVirtualMachine class];
    NSError *reason = nil;
    if ([VZVirtualMachine respondsToSelector:@selector(applevzSoundError)])
        reason = [extensions applevzSoundError];
    return reason
               ?: not_supported(@"Guests have no sound.",
                                @"This library gives none of the framework's sound devices to a guest.", nil);
}

static NSString *command_line_additions(void) {
    Class<AppleVZBootLoaderExtensions> extensions = (Class)[VZLinuxBootLoader class];
    if ([VZLinuxBootLoader respondsToSelector:@selector(applevzCommandLineAdditions)])
        return [extensions applevzCommandLineAdditions];
    return @"";
}

CFErrorRef applevz_capability_check(enum applevz_capability capability) {
    return applevz_guard(^NSError *_Nullable {
        switch (capability) {
        case APPLEVZ_CAPABILITY_VIRTUALIZATION:
            return virtualization_missing();
        case APPLEVZ_CAPABILITY_HARDWARE_ACCELERATION:
            return hardware_acceleration_missing();
        case APPLEVZ_CAPABILITY_COMMAND_LINE_ADDITIONS:
            if (command_line_additions().length > 0)
                return nil;
            return not_supported(@"Nothing is added to kernel command lines.",
                                 @"The platform boots Linux with the command line as it is given.", nil);
        case APPLEVZ_CAPABILITY_SAVE_RESTORE:
            return virtualization_missing() ?: applevz_save_restore_missing() ?: feature_missing(@"save_restore");
        case APPLEVZ_CAPABILITY_MEMORY_DIRECTORY:
            return virtualization_missing() ?: applevz_memory_directory_missing();
        case APPLEVZ_CAPABILITY_GENERATION_IDENTIFIER:
            return virtualization_missing() ?: applevz_generation_identifier_missing() ?: feature_missing(@"generation_identifier");
        case APPLEVZ_CAPABILITY_NESTED_VIRTUALIZATION:
            return virtualization_missing() ?: applevz_nested_virtualization_missing();
        case APPLEVZ_CAPABILITY_EFI:
            return virtualization_missing() ?: applevz_efi_missing() ?: feature_missing(@"efi");
        case APPLEVZ_CAPABILITY_SHARED_DIRECTORIES:
            return virtualization_missing() ?: applevz_shared_directories_missing() ?: feature_missing(@"shared_directories");
        case APPLEVZ_CAPABILITY_SOCKETS:
            return virtualization_missing() ?: applevz_sockets_missing() ?: feature_missing(@"sockets");
        case APPLEVZ_CAPABILITY_BRIDGED_NETWORKS:
            return virtualization_missing() ?: applevz_bridged_networks_missing();
        case APPLEVZ_CAPABILITY_ISOLATED_NETWORKS:
            return virtualization_missing() ?: applevz_isolated_networks_missing();
        case APPLEVZ_CAPABILITY_HOST_ISOLATION:
            return virtualization_missing() ?: applevz_host_isolation_missing();
        case APPLEVZ_CAPABILITY_SCREENSHOTS:
            return virtualization_missing() ?: applevz_screenshots_missing() ?: feature_missing(@"screenshots");
        case APPLEVZ_CAPABILITY_INPUT_EVENTS:
            return virtualization_missing() ?: applevz_input_events_missing() ?: feature_missing(@"input_events");
        case APPLEVZ_CAPABILITY_EARLY_CONSOLE:
            return virtualization_missing() ?: applevz_early_console_missing() ?: feature_missing(@"early_console");
        case APPLEVZ_CAPABILITY_DISK_OVERLAYS:
            return virtualization_missing() ?: applevz_disk_overlays_missing();
        case APPLEVZ_CAPABILITY_CONFINEMENT:
            return virtualization_missing() ?: applevz_confinement_missing();
        case APPLEVZ_CAPABILITY_SEPARATE_USERS:
            return virtualization_missing() ?: applevz_separate_users_missing();
        case APPLEVZ_CAPABILITY_DISK_LIMITS:
            return virtualization_missing() ?: applevz_disk_limits_missing();
        case APPLEVZ_CAPABILITY_CONTROL_GROUPS:
            return virtualization_missing() ?: applevz_control_groups_missing();
        case APPLEVZ_CAPABILITY_SAVED_STATE_INSPECTION:
            return applevz_saved_state_inspection_missing();
        case APPLEVZ_CAPABILITY_GUEST_RESETS:
            return virtualization_missing() ?: applevz_guest_resets_missing();
        case APPLEVZ_CAPABILITY_SOUND:
            return virtualization_missing() ?: sound_missing();
        // What Apple's framework has and this library has not built: false on every host, until it is.
        case APPLEVZ_CAPABILITY_MACOS_GUESTS:
            return not_supported(
                @"Guests cannot be macOS.",
                @"applevz runs Linux guests: it has no platform, boot loader or installer for macOS, which "
                @"only a Mac could run.",
                @"Use a Linux guest.");
        case APPLEVZ_CAPABILITY_ROSETTA:
            return not_supported(@"Guests have no Rosetta.",
                                 @"applevz shares no directory with Rosetta in it, which only a Mac has.",
                                 @"Install an emulator in the guest, such as qemu-user-static.");
        case APPLEVZ_CAPABILITY_MACHINE_VIEW:
            return not_supported(
                @"There is no view of a machine.",
                @"applevz has no window to show a guest's display in; the framework's view is a part of a "
                @"Mac's programs.",
                @"Use a console or screenshots, or what the guest offers on its network.");
        }
        return applevz_explained_invalid_argument(@"Unknown capability.", @"Use a value of enum applevz_capability.", ^{
            return [NSString stringWithFormat:@"There is no capability with the number %d.", capability];
        });
    });
}

CFErrorRef applevz_limits_get(applevz_limits *limits) {
    return applevz_guard(^NSError *_Nullable {
        limits->minimum_cpu_count = VZVirtualMachineConfiguration.minimumAllowedCPUCount;
        limits->maximum_cpu_count = VZVirtualMachineConfiguration.maximumAllowedCPUCount;
        limits->minimum_memory_size = VZVirtualMachineConfiguration.minimumAllowedMemorySize;
        limits->maximum_memory_size = VZVirtualMachineConfiguration.maximumAllowedMemorySize;
        return nil;
    });
}

CFErrorRef applevz_mac_address_random(char **text, size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        *text = applevz_copy_text([VZMACAddress randomLocallyAdministeredAddress].string, length);
        return nil;
    });
}

CFErrorRef applevz_generic_machine_identifier_random(char **data, size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        *data = applevz_copy_data([[VZGenericMachineIdentifier alloc] init].dataRepresentation, length);
        return nil;
    });
}

CFErrorRef applevz_command_line_additions(char **text, size_t *length) {
    return applevz_guard(^NSError *_Nullable {
        *text = applevz_copy_text(command_line_additions(), length);
        return nil;
    });
}
