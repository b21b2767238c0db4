// SPDX-License-Identifier: Apache-2.0
// The reasons for which this host lacks a capability, with any framework; nil if it has it. Each function is in the
// file of those that are refused for it. capabilities.m asks them all.
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// A guest's memory as a file in a folder.
NSError *_Nullable applevz_memory_directory_missing(void);

/// A generation identifier, which the guest finds.
NSError *_Nullable applevz_generation_identifier_missing(void);

/// A guest that runs machines of its own.
NSError *_Nullable applevz_nested_virtualization_missing(void);

/// EFI firmware that boots a guest.
NSError *_Nullable applevz_efi_missing(void);

/// A directory that is shared with a guest.
NSError *_Nullable applevz_shared_directories_missing(void);

/// Sockets between a guest and this host.
NSError *_Nullable applevz_sockets_missing(void);

/// A network card that is connected to a network of the host's.
NSError *_Nullable applevz_bridged_networks_missing(void);

/// A network of a guest's that nothing leaves.
NSError *_Nullable applevz_isolated_networks_missing(void);
NSError *_Nullable applevz_host_isolation_missing(void);

/// A console that works before the guest has a driver for one.
NSError *_Nullable applevz_early_console_missing(void);

/// A disk that holds what differs from another one, or what is gone with its machine.
NSError *_Nullable applevz_disk_overlays_missing(void);

/// A look into a saved state.
NSError *_Nullable applevz_saved_state_inspection_missing(void);

/// All of what keeps the program that runs a machine from the rest of the host.
NSError *_Nullable applevz_confinement_missing(void);

/// … by a user of its own.
NSError *_Nullable applevz_separate_users_missing(void);

/// Limits of what a guest writes, and of how fast its disks are.
NSError *_Nullable applevz_disk_limits_missing(void);

/// A control group of a machine's own, with limits.
NSError *_Nullable applevz_control_groups_missing(void);

/// A guest's reset, told or at which the machine stops.
NSError *_Nullable applevz_guest_resets_missing(void);

/// A guest's display as a picture.
NSError *_Nullable applevz_screenshots_missing(void);

/// Keys that a program presses, and a pointer that it moves, for a guest.
NSError *_Nullable applevz_input_events_missing(void);

/// Saving and restoring a machine's state.
NSError *_Nullable applevz_save_restore_missing(void);

NS_ASSUME_NONNULL_END
