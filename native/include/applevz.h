/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C interface of applevz: all calls between Objective-C and Python.
 *
 * Ownership:
 *   - A function that can fail returns CFErrorRef: NULL for success, otherwise an error. The caller owns the error, and
 *     ends it with CFRelease. Results come through out parameters, which a failure leaves untouched.
 *   - A handle comes from a `…_create` function or from a verb that makes an operation. The caller owns it, and ends it
 *     once, with the `…_release` function of its type. A function that is given a handle borrows it for that call.
 *   - Text comes in as UTF-8 with its length in bytes. It may hold any byte, NUL too; if it must not, it is refused by
 *     name. Text and data that go out are the caller's, who ends them with applevz_free.
 *   - A file descriptor that comes in is duplicated. The caller keeps its own.
 *
 * Any thread may call any function. Only applevz_operation_wait waits for a machine.
 *
 * In a process that inherited machines by fork, every function that can fail does, with APPLEVZ_BRIDGE_ERROR_FORKED. An
 * error that was made before the fork reads as that one. A release does nothing. No function sends an Objective-C
 * message there.
 *
 * The binding reads this file through the preprocessor with APPLEVZ_BINDING defined, and reads nothing else.
 */
#ifndef APPLEVZ_H
#define APPLEVZ_H

#ifdef APPLEVZ_BINDING
#define APPLEVZ_EXPORT
#define CF_RETURNS_RETAINED
typedef... *CFErrorRef;
void CFRelease(const void *object);
#else
#include <CoreFoundation/CoreFoundation.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define APPLEVZ_EXPORT __attribute__((visibility("default")))
#ifdef __cplusplus
extern "C" {
#endif
#endif

/* ---- Errors ------------------------------------------------------------------------------------------------- */

/* Codes of VZErrorDomain, with the framework's values. */
enum applevz_error_code {
    APPLEVZ_ERROR_INTERNAL = 1,
    APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_CONFIGURATION = 2,
    APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE = 3,
    APPLEVZ_ERROR_INVALID_VIRTUAL_MACHINE_STATE_TRANSITION = 4,
    APPLEVZ_ERROR_INVALID_DISK_IMAGE = 5,
    APPLEVZ_ERROR_VIRTUAL_MACHINE_LIMIT_EXCEEDED = 6,
    APPLEVZ_ERROR_NETWORK_ERROR = 7,
    APPLEVZ_ERROR_OUT_OF_DISK_SPACE = 8,
    APPLEVZ_ERROR_OPERATION_CANCELLED = 9,
    APPLEVZ_ERROR_NOT_SUPPORTED = 10,
    APPLEVZ_ERROR_SAVE = 11,
    APPLEVZ_ERROR_RESTORE = 12,
    APPLEVZ_ERROR_NETWORK_BLOCK_DEVICE_NEGOTIATION_FAILED = 20001,
    APPLEVZ_ERROR_NETWORK_BLOCK_DEVICE_DISCONNECTED = 20002,
    APPLEVZ_ERROR_USB_CONTROLLER_NOT_FOUND = 30001,
    APPLEVZ_ERROR_DEVICE_ALREADY_ATTACHED = 30002,
    APPLEVZ_ERROR_DEVICE_INITIALIZATION_FAILURE = 30003,
    APPLEVZ_ERROR_DEVICE_NOT_FOUND = 30004
};

/* Codes of the bridge's own domain, "applevz", for conditions that the framework has no code for. */
enum applevz_bridge_error_code {
    APPLEVZ_BRIDGE_ERROR_EXCEPTION = 1, /* an NSException was raised; its name and reason are in the error */
    APPLEVZ_BRIDGE_ERROR_INVALID_ARGUMENT =
        2, /* a value that no machine could be given, refused before one was asked */
    APPLEVZ_BRIDGE_ERROR_TIMED_OUT = 3,
    APPLEVZ_BRIDGE_ERROR_FORKED = 4,            /* the handle belongs to the process that this one was forked from */
    APPLEVZ_BRIDGE_ERROR_INVALID_STATE = 5,     /* the object was closed, or the call does not fit its present state */
    APPLEVZ_BRIDGE_ERROR_GUEST_UNREACHABLE = 6, /* no agent answers in the guest: nothing was begun there */
    APPLEVZ_BRIDGE_ERROR_GUEST_CONNECTION_LOST =
        7, /* … or it went while something was under way: how that ended is not known */
    APPLEVZ_BRIDGE_ERROR_GUEST_PANICKED = 8 /* … because the guest's kernel panicked */
};

/* The domain of an error, and with it the table of its code. */
enum applevz_error_domain {
    APPLEVZ_ERROR_DOMAIN_OTHER,
    APPLEVZ_ERROR_DOMAIN_VIRTUALIZATION, /* VZErrorDomain: enum applevz_error_code */
    APPLEVZ_ERROR_DOMAIN_POSIX,          /* NSPOSIXErrorDomain: errno */
    APPLEVZ_ERROR_DOMAIN_BRIDGE          /* "applevz": enum applevz_bridge_error_code */
};

enum applevz_error_text {
    APPLEVZ_ERROR_TEXT_DOMAIN,
    APPLEVZ_ERROR_TEXT_LOCALIZED_DESCRIPTION,
    APPLEVZ_ERROR_TEXT_FAILURE_REASON,
    APPLEVZ_ERROR_TEXT_RECOVERY_SUGGESTION,
    APPLEVZ_ERROR_TEXT_FILE,     /* the file that it or an error beneath it names: a URL, or a path */
    APPLEVZ_ERROR_TEXT_USER_INFO /* a JSON object; a value that is no text, number, array or dictionary is its
                                    description */
};

/* Makes an error, for a condition that the caller found. Empty texts are left out. The caller owns the result. */
APPLEVZ_EXPORT CFErrorRef applevz_error_create(const char *domain, size_t domain_length, int64_t code,
                                               const char *description, size_t description_length, const char *reason,
                                               size_t reason_length, const char *suggestion,
                                               size_t suggestion_length) CF_RETURNS_RETAINED;
/* The same error with a reason that begins with that field of the caller's. The caller owns the result, and still the
   error. */
APPLEVZ_EXPORT CFErrorRef applevz_error_create_in_field(CFErrorRef error, const char *field,
                                                        size_t field_length) CF_RETURNS_RETAINED;
/* The same error with the name of that file. The caller owns the result, and still the error. */
APPLEVZ_EXPORT CFErrorRef applevz_error_create_with_file(CFErrorRef error, const char *path,
                                                         size_t path_length) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT int64_t applevz_error_code(CFErrorRef error);
/* The errno that the domain and the code of the error, or of one beneath it, stand for; 0 if none does. A code that
   stands for one fault comes before one that stands for many, and NSPOSIXErrorDomain before other domains. */
APPLEVZ_EXPORT int64_t applevz_error_posix_code(CFErrorRef error);
/* The kind of an error, by which a caller chooses an exception. One number, since every error is asked for it:
     bits 56 to 63   enum applevz_error_domain
     bits 32 to 55   the number of applevz_error_posix_code; all ones for a number that is no errno
     bits 0 to 31    the code in its domain; 0 in APPLEVZ_ERROR_DOMAIN_OTHER, all ones for one that is in no table */
APPLEVZ_EXPORT uint64_t applevz_error_kind(CFErrorRef error);
/* The text; NULL if the error has none. */
APPLEVZ_EXPORT char *applevz_error_copy_text(CFErrorRef error, enum applevz_error_text which, size_t *length);
/* The error that caused this one; NULL if none did. Of several causes the first that stands for an errno, or else the
   first. The caller owns the result. */
APPLEVZ_EXPORT CFErrorRef applevz_error_copy_underlying(CFErrorRef error) CF_RETURNS_RETAINED;
/* CFRelease, for a caller that may be in a forked process: there an error must not be ended. */
APPLEVZ_EXPORT void applevz_error_release(CFErrorRef error);
APPLEVZ_EXPORT void applevz_free(void *memory);

/* The numbers of errors that were handed over and destroyed since the process began. Only a debug build counts them:
   false, and both zero, in any other. */
APPLEVZ_EXPORT bool applevz_debug_error_counts(uint64_t *handed_over, uint64_t *destroyed);
/* The number of handles of all types that were made and not yet released. */
APPLEVZ_EXPORT uint64_t applevz_debug_live_handles(void);

/* ---- The host's capabilities --------------------------------------------------------------------------------- */

enum applevz_capability {
    APPLEVZ_CAPABILITY_VIRTUALIZATION,         /* machines can be run at all */
    APPLEVZ_CAPABILITY_HARDWARE_ACCELERATION,  /* … at the processor's own speed, not by emulation */
    APPLEVZ_CAPABILITY_COMMAND_LINE_ADDITIONS, /* the platform adds words to a Linux kernel's command line */
    APPLEVZ_CAPABILITY_SAVE_RESTORE,           /* a machine's state can be saved to a file and restored from it */
    APPLEVZ_CAPABILITY_MEMORY_DIRECTORY,       /* a guest's memory can be a file in a folder */
    APPLEVZ_CAPABILITY_GENERATION_IDENTIFIER,  /* a guest can be told that it goes on as another machine */
    APPLEVZ_CAPABILITY_NESTED_VIRTUALIZATION,  /* a guest can run machines of its own */
    APPLEVZ_CAPABILITY_EFI,                    /* a guest can be booted by EFI firmware */
    APPLEVZ_CAPABILITY_SHARED_DIRECTORIES, /* directories of the host can be shared with a guest, read-only or not */
    APPLEVZ_CAPABILITY_BRIDGED_NETWORKS,   /* a network card can be connected to a network of the host's */
    APPLEVZ_CAPABILITY_ISOLATED_NETWORKS,  /* a guest's network can have no way out, not even to the host */
    APPLEVZ_CAPABILITY_HOST_ISOLATION,     /* a guest's network has no way to the host unless it is asked for */
    APPLEVZ_CAPABILITY_SOCKETS,            /* a guest can have sockets to this host */
    APPLEVZ_CAPABILITY_SCREENSHOTS,        /* a guest's display can be taken as a picture */
    APPLEVZ_CAPABILITY_INPUT_EVENTS,       /* a program can press a guest's keys and move its pointer */
    APPLEVZ_CAPABILITY_GUEST_RESETS,       /* a guest's reset is told, or stops the machine */
    APPLEVZ_CAPABILITY_DISK_OVERLAYS,      /* a disk can hold what differs from another, and be gone with its machine */
    APPLEVZ_CAPABILITY_SAVED_STATE_INSPECTION, /* a saved state can be looked into, and checked without a machine */
    APPLEVZ_CAPABILITY_CONFINEMENT,            /* what runs a machine is kept from the rest of the host */
    APPLEVZ_CAPABILITY_SEPARATE_USERS,         /* … by a user of its own, too */
    APPLEVZ_CAPABILITY_DISK_LIMITS,            /* what a guest writes, and how fast its disks are, can be limited */
    APPLEVZ_CAPABILITY_CONTROL_GROUPS,         /* the processor time and the memory of a machine can be limited */
    APPLEVZ_CAPABILITY_EARLY_CONSOLE, /* what a kernel prints before it has a driver for its console can be read */
    APPLEVZ_CAPABILITY_SOUND,         /* a guest can have a sound device */
    APPLEVZ_CAPABILITY_MACOS_GUESTS,  /* a guest can be macOS */
    APPLEVZ_CAPABILITY_ROSETTA,       /* a Linux guest can run programs for x86-64 by Rosetta */
    APPLEVZ_CAPABILITY_MACHINE_VIEW   /* a guest's display can be shown in a window of the host program's */
};

/* NULL if the host has the capability; otherwise an error whose failure reason says what is missing. */
APPLEVZ_EXPORT CFErrorRef applevz_capability_check(enum applevz_capability capability) CF_RETURNS_RETAINED;

typedef struct applevz_limits {
    uint64_t minimum_cpu_count;
    uint64_t maximum_cpu_count;
    uint64_t minimum_memory_size; /* bytes, as all sizes here */
    uint64_t maximum_memory_size;
} applevz_limits;

APPLEVZ_EXPORT CFErrorRef applevz_limits_get(applevz_limits *limits) CF_RETURNS_RETAINED;

/* A random locally administered unicast address in the form 0a:1b:2c:3d:4e:5f. */
APPLEVZ_EXPORT CFErrorRef applevz_mac_address_random(char **text, size_t *length) CF_RETURNS_RETAINED;
/* The data representation of a new VZGenericMachineIdentifier. */
APPLEVZ_EXPORT CFErrorRef applevz_generic_machine_identifier_random(char **data, size_t *length) CF_RETURNS_RETAINED;
/* VZBridgedNetworkInterface.networkInterfaces: of each interface the identifier and the localized display name, which
   may be empty. A NUL follows each text. */
APPLEVZ_EXPORT CFErrorRef applevz_bridged_network_interfaces(char **texts, size_t *length) CF_RETURNS_RETAINED;
/* The words that the platform adds to a Linux kernel's command line if it may; empty if it adds none. */
APPLEVZ_EXPORT CFErrorRef applevz_command_line_additions(char **text, size_t *length) CF_RETURNS_RETAINED;

/* What is told to the programs that run machines, and what they tell. Whether it is kept from here on; it is not, until
   this is called, nor on a platform that has no such programs. */
APPLEVZ_EXPORT void applevz_log_keep(bool keep);
/* The lines that were kept since the last call, the oldest first, as JSON: [[time, source, kind, text or words], …].
   The oldest are lost of more than some thousand. */
APPLEVZ_EXPORT CFErrorRef applevz_log_take(char **text, size_t *length) CF_RETURNS_RETAINED;

/* ---- Starts of many machines -------------------------------------------------------------------------------- */

typedef struct applevz_fork_server applevz_fork_server;

/* As long as there is one, programs that run machines are copies of one that has loaded its libraries and waits: a
   start takes half the time, and what is common to all is in memory once. All that there are at a time are one and the
   same. `path` is that of the package's file for it. Fails where the framework has no such programs, and where it
   cannot be begun. */
APPLEVZ_EXPORT CFErrorRef applevz_fork_server_create(const char *path, size_t path_length,
                                                     applevz_fork_server **server) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT void applevz_fork_server_release(applevz_fork_server *server);

/* ---- Configuration ------------------------------------------------------------------------------------------- */

typedef struct applevz_configuration applevz_configuration;
typedef struct applevz_serial_port_attachment applevz_serial_port_attachment;
typedef struct applevz_storage_device_attachment applevz_storage_device_attachment;
typedef struct applevz_network_device_attachment applevz_network_device_attachment;
typedef struct applevz_directory_share applevz_directory_share;
typedef struct applevz_guest_agent applevz_guest_agent;

enum applevz_disk_image_caching_mode {
    APPLEVZ_DISK_IMAGE_CACHING_MODE_AUTOMATIC = 0,
    APPLEVZ_DISK_IMAGE_CACHING_MODE_UNCACHED = 1,
    APPLEVZ_DISK_IMAGE_CACHING_MODE_CACHED = 2
};

enum applevz_disk_image_synchronization_mode {
    APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FULL = 1,
    APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_FSYNC = 2,
    APPLEVZ_DISK_IMAGE_SYNCHRONIZATION_MODE_NONE = 3
};

enum applevz_disk_synchronization_mode {
    APPLEVZ_DISK_SYNCHRONIZATION_MODE_FULL = 0,
    APPLEVZ_DISK_SYNCHRONIZATION_MODE_NONE = 1
};

/* VZFileHandleSerialPortAttachment. The guest reads from `reading` and writes to `writing`; -1 leaves one out. */
APPLEVZ_EXPORT CFErrorRef applevz_serial_port_attachment_create_with_file_handles(
    int reading, int writing, applevz_serial_port_attachment **attachment) CF_RETURNS_RETAINED;
/* VZFileSerialPortAttachment. The file is created if it is missing. */
APPLEVZ_EXPORT CFErrorRef applevz_serial_port_attachment_create_with_file(
    const char *path, size_t path_length, bool append, applevz_serial_port_attachment **attachment) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT void applevz_serial_port_attachment_release(applevz_serial_port_attachment *attachment);

/* The host's end of a port on which the guest runs QEMU's agent. It is for one machine. It sets the guest's clock when
   the machine runs for the first time after a restore. */
APPLEVZ_EXPORT CFErrorRef applevz_guest_agent_create(applevz_guest_agent **agent) CF_RETURNS_RETAINED;
/* Its machine keeps it as long as it needs it. */
APPLEVZ_EXPORT void applevz_guest_agent_release(applevz_guest_agent *agent);
/* VZSpiceAgentPortAttachment. */
APPLEVZ_EXPORT CFErrorRef applevz_serial_port_attachment_create_with_spice_agent(
    bool shares_clipboard, applevz_serial_port_attachment **attachment) CF_RETURNS_RETAINED;
/* The guest's end of that port, as the attachment of the port. */
APPLEVZ_EXPORT CFErrorRef applevz_serial_port_attachment_create_with_guest_agent(
    applevz_guest_agent *agent, applevz_serial_port_attachment **attachment) CF_RETURNS_RETAINED;

/* VZDiskImageStorageDeviceAttachment. */
APPLEVZ_EXPORT CFErrorRef applevz_storage_device_attachment_create_with_disk_image(
    const char *path, size_t path_length, bool read_only, enum applevz_disk_image_caching_mode caching_mode,
    enum applevz_disk_image_synchronization_mode synchronization_mode,
    applevz_storage_device_attachment **attachment) CF_RETURNS_RETAINED;
/* The same of an image that is an overlay or has one. With `base_paths`, each of which has a NUL behind it, it holds
   what differs from the image at the first one, that what differs from the next, and the last is raw. With `ephemeral`
   it is only read, and what the guest writes goes to a file without a name in `overlay_directory`, or, where that is
   empty, in a folder for temporary files, and is gone with the machine. */
APPLEVZ_EXPORT CFErrorRef applevz_storage_device_attachment_create_with_disk_overlay(
    const char *path, size_t path_length, const char *base_paths, size_t base_paths_length, bool ephemeral,
    const char *overlay_directory, size_t overlay_directory_length, bool read_only,
    enum applevz_disk_image_caching_mode caching_mode,
    enum applevz_disk_image_synchronization_mode synchronization_mode,
    applevz_storage_device_attachment **attachment) CF_RETURNS_RETAINED;
/* Whether an image that is made of another one is a clone of that, and raw as that is. */
enum applevz_cloning {
    APPLEVZ_CLONING_IF_POSSIBLE = 0, /* where the file system can */
    APPLEVZ_CLONING_ALWAYS = 1,
    APPLEVZ_CLONING_NEVER = 2 /* it holds what differs */
};

/* Makes an image that has what the one at the first of base_paths has, which is to stay as it is, and zeros behind that
   up to the size, which is 0 for that of the base. It is whole or not there. A file that is there is refused. Without
   `is_clone` it is to be attached as an overlay over those bases; with it over those that follow on the first. */
APPLEVZ_EXPORT CFErrorRef applevz_disk_image_create_of_bases(const char *path, size_t path_length,
                                                             const char *base_paths, size_t base_paths_length,
                                                             uint64_t size, enum applevz_cloning cloning,
                                                             bool *is_clone) CF_RETURNS_RETAINED;
/* VZDiskBlockDeviceStorageDeviceAttachment, from macOS 14 on, of the descriptor of a block device. */
APPLEVZ_EXPORT CFErrorRef applevz_storage_device_attachment_create_with_block_device(
    int descriptor, bool read_only, enum applevz_disk_synchronization_mode synchronization_mode,
    applevz_storage_device_attachment **attachment) CF_RETURNS_RETAINED;
/* VZNetworkBlockDeviceStorageDeviceAttachment, from macOS 14 on. `timeout` is in seconds. */
APPLEVZ_EXPORT CFErrorRef applevz_storage_device_attachment_create_with_network_block_device(
    const char *url, size_t url_length, double timeout, bool forced_read_only,
    enum applevz_disk_synchronization_mode synchronization_mode,
    applevz_storage_device_attachment **attachment) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT void applevz_storage_device_attachment_release(applevz_storage_device_attachment *attachment);

/* VZNATNetworkDeviceAttachment. Without `internet` nothing that the guest sends leaves its network, where the platform
   has such networks. Without `host_access` it does not reach this host, where the platform can see to that. */
APPLEVZ_EXPORT CFErrorRef applevz_network_device_attachment_create_with_nat(
    bool internet, bool host_access, applevz_network_device_attachment **attachment) CF_RETURNS_RETAINED;
/* VZFileHandleNetworkDeviceAttachment, of the descriptor of a connected datagram socket, which is duplicated. 0 is the
   default maximum transmission unit. */
APPLEVZ_EXPORT CFErrorRef applevz_network_device_attachment_create_with_file_handle(
    int socket, int64_t maximum_transmission_unit, applevz_network_device_attachment **attachment) CF_RETURNS_RETAINED;
/* VZBridgedNetworkDeviceAttachment, of the interface with that identifier. */
APPLEVZ_EXPORT CFErrorRef applevz_network_device_attachment_create_with_bridged_interface(
    const char *identifier, size_t identifier_length,
    applevz_network_device_attachment **attachment) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT void applevz_network_device_attachment_release(applevz_network_device_attachment *attachment);

/* VZSharedDirectory. */
typedef struct applevz_shared_directory {
    const char *name; /* in a VZMultipleDirectoryShare */
    size_t name_length;
    const char *path;
    size_t path_length;
    bool read_only;
} applevz_shared_directory;

/* VZSingleDirectoryShare. The directory's name is ignored. */
APPLEVZ_EXPORT CFErrorRef applevz_directory_share_create_with_directory(
    const applevz_shared_directory *directory, applevz_directory_share **share) CF_RETURNS_RETAINED;
/* VZMultipleDirectoryShare. */
APPLEVZ_EXPORT CFErrorRef applevz_directory_share_create_with_directories(
    const applevz_shared_directory *directories, size_t count, applevz_directory_share **share) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT void applevz_directory_share_release(applevz_directory_share *share);
/* canonicalizedNameFromName: of VZMultipleDirectoryShare; NULL if there is none. */
APPLEVZ_EXPORT CFErrorRef applevz_directory_share_canonicalized_name(const char *name, size_t name_length, char **text,
                                                                     size_t *length) CF_RETURNS_RETAINED;

APPLEVZ_EXPORT CFErrorRef applevz_configuration_create(applevz_configuration **configuration) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT void applevz_configuration_release(applevz_configuration *configuration);
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_cpu_count(applevz_configuration *configuration,
                                                              uint64_t count) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_memory_size(applevz_configuration *configuration,
                                                                uint64_t bytes) CF_RETURNS_RETAINED;
/* The folder of the file system in which the guest's memory is a file without a name. Without a folder it is where the
   platform has it. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_memory_directory(applevz_configuration *configuration,
                                                                     const char *path,
                                                                     size_t path_length) CF_RETURNS_RETAINED;
/* Whether a guest that resets stops the machine, as one that turns it off. Otherwise it starts anew in place. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_stops_at_reset(applevz_configuration *configuration,
                                                                   bool stops) CF_RETURNS_RETAINED;
/* What keeps the program that runs the machine from the rest of the host: values of applevz_confinement, added. A start
   is refused that cannot have all that is required; what is waived is left out. */
enum applevz_confinement {
    APPLEVZ_CONFINEMENT_FILES = 1,
    APPLEVZ_CONFINEMENT_SYSTEM_CALLS = 2,
    APPLEVZ_CONFINEMENT_SOCKETS = 4,
    APPLEVZ_CONFINEMENT_PRIVILEGES = 8,
    APPLEVZ_CONFINEMENT_HOST_ADDRESSES = 16,
    APPLEVZ_CONFINEMENT_USER = 32,
};
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_confinement(applevz_configuration *configuration, uint32_t required,
                                                                uint32_t waived) CF_RETURNS_RETAINED;
/* What the machine may take of the host; 0 for what has no limit. `processors` and `memory` are of all its processes,
   by a control group in the one whose folder is named, or, with a length of 0, in that which was delegated to this
   process. `overlay_size` is how many bytes the file may have with what a guest wrote to a disk that is ephemeral or
   has a base, of each; the others are of all its disks together. */
typedef struct applevz_resource_limits {
    double processors;
    uint64_t memory;
    uint64_t overlay_size;
    uint64_t disk_bytes_per_second;
    uint64_t disk_operations_per_second;
} applevz_resource_limits;
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_resource_limits(applevz_configuration *configuration,
                                                                    const applevz_resource_limits *limits,
                                                                    const char *control_group,
                                                                    size_t control_group_length) CF_RETURNS_RETAINED;
/* VZLinuxBootLoader. A length of 0 is no initial RAM disk. `command_line_additions` lets the platform add the words of
   applevz_command_line_additions. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_linux_boot_loader(
    applevz_configuration *configuration, const char *kernel, size_t kernel_length, const char *initial_ramdisk,
    size_t initial_ramdisk_length, const char *command_line, size_t command_line_length,
    bool command_line_additions) CF_RETURNS_RETAINED;
/* VZEFIBootLoader, with the variable store in that file. The file is made if it is missing, and opened otherwise. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_efi_boot_loader(applevz_configuration *configuration,
                                                                    const char *variable_store,
                                                                    size_t variable_store_length) CF_RETURNS_RETAINED;
/* Makes the file of a VZEFIVariableStore without variables. A file that exists is refused, or with `overwrite`
   replaced. */
APPLEVZ_EXPORT CFErrorRef applevz_efi_variable_store_create(const char *path, size_t path_length,
                                                            bool overwrite) CF_RETURNS_RETAINED;
/* VZGenericPlatformConfiguration. A length of 0 makes a new identifier. With `generation_identifier` the guest finds a
   generation identifier, another one at each start and restore, if the platform has them. With `nested_virtualization`
   the guest can run machines of its own, if the platform lets it (macOS 15). */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_generic_platform(applevz_configuration *configuration,
                                                                     const char *machine_identifier,
                                                                     size_t machine_identifier_length,
                                                                     bool generation_identifier,
                                                                     bool nested_virtualization) CF_RETURNS_RETAINED;
/* VZVirtioConsoleDeviceSerialPortConfiguration. */
/* Where a Linux kernel prints until it has a driver for its console. To be called once the VZLinuxBootLoader is set. A
   word for it is added to the kernel's command line. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_early_console(
    applevz_configuration *configuration, applevz_serial_port_attachment *attachment) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_virtio_console_device_serial_port(
    applevz_configuration *configuration, applevz_serial_port_attachment *attachment) CF_RETURNS_RETAINED;
/* VZVirtioConsoleDeviceConfiguration, without ports at first. A maximum of 0 is as many places as its ports take up. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_virtio_console_device(
    applevz_configuration *configuration, uint32_t maximum_port_count) CF_RETURNS_RETAINED;
/* VZVirtioConsolePortConfiguration, at that place of the console device that was added last. A length of 0 is no name,
   NULL is no attachment. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_set_virtio_console_port(
    applevz_configuration *configuration, size_t index, const char *name, size_t name_length, bool is_console,
    applevz_serial_port_attachment *attachment) CF_RETURNS_RETAINED;
/* VZVirtioBlockDeviceConfiguration. A length of 0 is no identifier. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_virtio_block_device(applevz_configuration *configuration,
                                                                        applevz_storage_device_attachment *attachment,
                                                                        const char *identifier,
                                                                        size_t identifier_length) CF_RETURNS_RETAINED;
/* VZUSBMassStorageDeviceConfiguration. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_usb_mass_storage_device(
    applevz_configuration *configuration, applevz_storage_device_attachment *attachment) CF_RETURNS_RETAINED;
/* VZNVMExpressControllerDeviceConfiguration. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_nvm_express_controller(
    applevz_configuration *configuration, applevz_storage_device_attachment *attachment) CF_RETURNS_RETAINED;
/* VZVirtioNetworkDeviceConfiguration. A length of 0 takes a random address. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_virtio_network_device(
    applevz_configuration *configuration, applevz_network_device_attachment *attachment, const char *mac_address,
    size_t mac_address_length) CF_RETURNS_RETAINED;
/* VZVirtioFileSystemDeviceConfiguration. NULL is no share. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_virtio_file_system_device(
    applevz_configuration *configuration, const char *tag, size_t tag_length,
    applevz_directory_share *share) CF_RETURNS_RETAINED;
/* VZVirtioEntropyDeviceConfiguration. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_virtio_entropy_device(applevz_configuration *configuration)
    CF_RETURNS_RETAINED;
/* VZVirtioSocketDeviceConfiguration. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_virtio_socket_device(applevz_configuration *configuration)
    CF_RETURNS_RETAINED;
/* VZVirtioTraditionalMemoryBalloonDeviceConfiguration. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_virtio_traditional_memory_balloon_device(
    applevz_configuration *configuration) CF_RETURNS_RETAINED;
/* In pixels. */
typedef struct applevz_display_size {
    int64_t width;
    int64_t height;
} applevz_display_size;

/* VZUSBKeyboardConfiguration. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_usb_keyboard(applevz_configuration *configuration)
    CF_RETURNS_RETAINED;
/* VZUSBScreenCoordinatePointingDeviceConfiguration. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_usb_screen_coordinate_pointing_device(
    applevz_configuration *configuration) CF_RETURNS_RETAINED;
/* VZVirtioGraphicsDeviceConfiguration, with a VZVirtioGraphicsScanoutConfiguration for each of the `count` sizes. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_virtio_graphics_device(applevz_configuration *configuration,
                                                                           const applevz_display_size *scanouts,
                                                                           size_t count) CF_RETURNS_RETAINED;
/* VZXHCIControllerConfiguration, from macOS 15 on. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_xhci_controller(applevz_configuration *configuration)
    CF_RETURNS_RETAINED;
/* A VZUSBMassStorageDeviceConfiguration for the `controller`-th of those. The UUID is text. A length of 0 takes a new
   UUID. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_add_device_to_usb_controller(
    applevz_configuration *configuration, size_t controller, applevz_storage_device_attachment *attachment,
    const char *uuid, size_t uuid_length) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_configuration_validate(applevz_configuration *configuration) CF_RETURNS_RETAINED;
/* NULL if a machine of this configuration can be saved and restored here. */
APPLEVZ_EXPORT CFErrorRef applevz_configuration_validate_save_restore_support(applevz_configuration *configuration)
    CF_RETURNS_RETAINED;

/* ---- Operations: calls that take time ------------------------------------------------------------------------ */

/* One call that is under way. Its release gives up the result, not the call: the machine goes on with it. */
typedef struct applevz_operation applevz_operation;

enum applevz_wait_result {
    APPLEVZ_WAIT_COMPLETED,
    APPLEVZ_WAIT_TIMED_OUT,
    APPLEVZ_WAIT_INTERRUPTED /* a signal was handled on this thread: let the program handle it, then wait again */
};

/* Waits until the operation completed, or `seconds` passed (negative: no limit). Any number of threads may wait. */
APPLEVZ_EXPORT enum applevz_wait_result applevz_operation_wait(applevz_operation *operation, double seconds);
/* After completion: NULL for success, otherwise the error, each time with a reference of its own. */
APPLEVZ_EXPORT CFErrorRef applevz_operation_copy_error(applevz_operation *operation) CF_RETURNS_RETAINED;
/* After success the value that the verb completes with, otherwise 0. A file descriptor is given once, and is the
   caller's from here on; afterwards the value is -1. A descriptor that nobody takes is closed with the operation. */
APPLEVZ_EXPORT int64_t applevz_operation_take_value(applevz_operation *operation);
APPLEVZ_EXPORT void applevz_operation_release(applevz_operation *operation);

/* ---- Channels: completions that a descriptor announces --------------------------------------------------------- */

/* The completions for an event loop, in place of a thread that blocks. Its descriptor is readable while a completion is
   in it. It keeps no operation alive, and holds at most one token of each operation. */
typedef struct applevz_channel applevz_channel;

APPLEVZ_EXPORT CFErrorRef applevz_channel_create(applevz_channel **channel) CF_RETURNS_RETAINED;
/* Closes the descriptor, so stop watching it first. Operations that were to be announced there are not announced. */
APPLEVZ_EXPORT void applevz_channel_release(applevz_channel *channel);
/* The descriptor, to be watched for reading, and for nothing else. -1 in a forked child. */
APPLEVZ_EXPORT int applevz_channel_descriptor(applevz_channel *channel);
/* Takes the token of an operation that completed. If there is none, it returns false and leaves *token untouched, and
   the descriptor is no longer readable. Never waits. */
APPLEVZ_EXPORT bool applevz_channel_next(applevz_channel *channel, uint64_t *token);
/* Puts `token` into the channel when the operation completes, or now if it has. That happens once, and not after the
   operation's release. An operation is announced once, to one channel; a second time is refused. */
APPLEVZ_EXPORT CFErrorRef applevz_operation_announce(applevz_operation *operation, applevz_channel *channel,
                                                     uint64_t token) CF_RETURNS_RETAINED;

/* ---- The machine --------------------------------------------------------------------------------------------- */

typedef struct applevz_machine applevz_machine;

/* VZVirtualMachineState, with the framework's values. */
enum applevz_machine_state {
    APPLEVZ_MACHINE_STATE_STOPPED = 0,
    APPLEVZ_MACHINE_STATE_RUNNING = 1,
    APPLEVZ_MACHINE_STATE_PAUSED = 2,
    APPLEVZ_MACHINE_STATE_ERROR = 3,
    APPLEVZ_MACHINE_STATE_STARTING = 4,
    APPLEVZ_MACHINE_STATE_PAUSING = 5,
    APPLEVZ_MACHINE_STATE_RESUMING = 6,
    APPLEVZ_MACHINE_STATE_STOPPING = 7,
    APPLEVZ_MACHINE_STATE_SAVING = 8,
    APPLEVZ_MACHINE_STATE_RESTORING = 9
};

/* The verbs that a machine may accept: canStart, canPause, … of VZVirtualMachine. */
enum applevz_machine_verb {
    APPLEVZ_MACHINE_VERB_START = 1,
    APPLEVZ_MACHINE_VERB_PAUSE = 2,
    APPLEVZ_MACHINE_VERB_RESUME = 4,
    APPLEVZ_MACHINE_VERB_STOP = 8,
    APPLEVZ_MACHINE_VERB_REQUEST_STOP = 16
};

/* Makes a machine. The configuration is validated and copied. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_create(applevz_configuration *configuration,
                                                 applevz_machine **machine) CF_RETURNS_RETAINED;
/* Gives the machine its agent. Call it before the machine is used. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_set_guest_agent(applevz_machine *machine,
                                                          applevz_guest_agent *agent) CF_RETURNS_RETAINED;
/* The descriptor of the host's end of the agent's port, to be waited for alone, and the caller's from here on. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_guest_agent_descriptor(applevz_machine *machine,
                                                                 int *descriptor) CF_RETURNS_RETAINED;
/* Sends what goes, or receives what came, and says how many bytes that are. 0 while the machine itself speaks to its
   agent, which comes first. Never waits. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_guest_agent_send(applevz_machine *machine, const char *bytes, size_t length,
                                                           size_t *count) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_machine_guest_agent_receive(applevz_machine *machine, char *bytes, size_t length,
                                                              size_t *count) CF_RETURNS_RETAINED;
/* Releases the handle. The last one ends a machine that still runs. */
APPLEVZ_EXPORT void applevz_machine_release(applevz_machine *machine);
/* The state that the machine's queue announced last. Never waits. */
APPLEVZ_EXPORT enum applevz_machine_state applevz_machine_state(applevz_machine *machine);
/* The address of that state, to be read while the handle lives. Python reads it in half the time of a call. */
APPLEVZ_EXPORT const int32_t *applevz_machine_state_address(applevz_machine *machine);
/* A bit of applevz_machine_verb for each verb that would be accepted now. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_accepted_verbs(applevz_machine *machine, uint32_t *verbs) CF_RETURNS_RETAINED;
/* How often the guest closed a port of the last console device, where the framework tells: whoever has that port knows
   that its program there went. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_last_device_closings(applevz_machine *machine,
                                                               uint64_t *count) CF_RETURNS_RETAINED;

APPLEVZ_EXPORT CFErrorRef applevz_machine_network_device_count(applevz_machine *machine,
                                                               size_t *count) CF_RETURNS_RETAINED;
/* VZNetworkDevice.attachment of the `index`-th network card; NULL if the card has none. The handle is the caller's. Its
   address is the same each time for the same attachment. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_network_device_attachment(
    applevz_machine *machine, size_t index, applevz_network_device_attachment **attachment) CF_RETURNS_RETAINED;
/* Sets it; NULL is none. If it cannot be connected, the card has none, which is an event, too. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_set_network_device_attachment(
    applevz_machine *machine, size_t index, applevz_network_device_attachment *attachment) CF_RETURNS_RETAINED;
/* Sets the attachment that the configuration has there, or none. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_connect_network_device(applevz_machine *machine, size_t index,
                                                                 bool connected) CF_RETURNS_RETAINED;
/* Connects to a TCP port of a running machine's guest on its first NAT network. Completes with the descriptor of a
   connected socket. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_connect(applevz_machine *machine, uint16_t port,
                                                  applevz_operation **operation) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_machine_directory_sharing_device_count(applevz_machine *machine,
                                                                         size_t *count) CF_RETURNS_RETAINED;
/* The tag of the `index`-th directory sharing device, a VZVirtioFileSystemDevice. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_directory_sharing_device_tag(applevz_machine *machine, size_t index,
                                                                       char **text, size_t *length) CF_RETURNS_RETAINED;
/* Its share in JSON: null; {"directory": D} of a VZSingleDirectoryShare, {"directories": {name: D, …}} of a
   VZMultipleDirectoryShare, where D is {"url": the text of its URL, "read_only": truth value}. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_directory_share(applevz_machine *machine, size_t index, char **json,
                                                          size_t *length) CF_RETURNS_RETAINED;
/* Sets its share; NULL is none. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_set_directory_share(applevz_machine *machine, size_t index,
                                                              applevz_directory_share *share) CF_RETURNS_RETAINED;
/* The number of displays of all graphics devices. APPLEVZ_ERROR_NOT_SUPPORTED before macOS 14. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_display_count(applevz_machine *machine, size_t *count) CF_RETURNS_RETAINED;
/* sizeInPixels of the `index`-th display, in the order of the devices. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_display_size(applevz_machine *machine, size_t index,
                                                       applevz_display_size *size) CF_RETURNS_RETAINED;
/* Takes a picture of the first display of a running or paused machine. Completes with the descriptor of a file without
   a name that holds a PNG image, at its beginning. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_take_screenshot(applevz_machine *machine,
                                                          applevz_operation **operation) CF_RETURNS_RETAINED;
/* The keys of a keyboard by their places. A place is named for the key that a US keyboard has there. The values are the
   usages of the USB's HID Usage Tables, page 7. */
enum applevz_key {
    /* clang-format off */
    APPLEVZ_KEY_A = 0x04, APPLEVZ_KEY_B = 0x05, APPLEVZ_KEY_C = 0x06, APPLEVZ_KEY_D = 0x07,
    APPLEVZ_KEY_E = 0x08, APPLEVZ_KEY_F = 0x09, APPLEVZ_KEY_G = 0x0a, APPLEVZ_KEY_H = 0x0b,
    APPLEVZ_KEY_I = 0x0c, APPLEVZ_KEY_J = 0x0d, APPLEVZ_KEY_K = 0x0e, APPLEVZ_KEY_L = 0x0f,
    APPLEVZ_KEY_M = 0x10, APPLEVZ_KEY_N = 0x11, APPLEVZ_KEY_O = 0x12, APPLEVZ_KEY_P = 0x13,
    APPLEVZ_KEY_Q = 0x14, APPLEVZ_KEY_R = 0x15, APPLEVZ_KEY_S = 0x16, APPLEVZ_KEY_T = 0x17,
    APPLEVZ_KEY_U = 0x18, APPLEVZ_KEY_V = 0x19, APPLEVZ_KEY_W = 0x1a, APPLEVZ_KEY_X = 0x1b,
    APPLEVZ_KEY_Y = 0x1c, APPLEVZ_KEY_Z = 0x1d, APPLEVZ_KEY_DIGIT_1 = 0x1e, APPLEVZ_KEY_DIGIT_2 = 0x1f,
    APPLEVZ_KEY_DIGIT_3 = 0x20, APPLEVZ_KEY_DIGIT_4 = 0x21, APPLEVZ_KEY_DIGIT_5 = 0x22,
    APPLEVZ_KEY_DIGIT_6 = 0x23, APPLEVZ_KEY_DIGIT_7 = 0x24, APPLEVZ_KEY_DIGIT_8 = 0x25,
    APPLEVZ_KEY_DIGIT_9 = 0x26, APPLEVZ_KEY_DIGIT_0 = 0x27, APPLEVZ_KEY_RETURN = 0x28,
    APPLEVZ_KEY_ESCAPE = 0x29, APPLEVZ_KEY_BACKSPACE = 0x2a, APPLEVZ_KEY_TAB = 0x2b, APPLEVZ_KEY_SPACE = 0x2c,
    APPLEVZ_KEY_MINUS = 0x2d, APPLEVZ_KEY_EQUAL = 0x2e, APPLEVZ_KEY_LEFT_BRACKET = 0x2f,
    APPLEVZ_KEY_RIGHT_BRACKET = 0x30, APPLEVZ_KEY_BACKSLASH = 0x31, APPLEVZ_KEY_SEMICOLON = 0x33,
    APPLEVZ_KEY_APOSTROPHE = 0x34, APPLEVZ_KEY_GRAVE = 0x35, APPLEVZ_KEY_COMMA = 0x36,
    APPLEVZ_KEY_PERIOD = 0x37, APPLEVZ_KEY_SLASH = 0x38, APPLEVZ_KEY_CAPS_LOCK = 0x39, APPLEVZ_KEY_F1 = 0x3a,
    APPLEVZ_KEY_F2 = 0x3b, APPLEVZ_KEY_F3 = 0x3c, APPLEVZ_KEY_F4 = 0x3d, APPLEVZ_KEY_F5 = 0x3e,
    APPLEVZ_KEY_F6 = 0x3f, APPLEVZ_KEY_F7 = 0x40, APPLEVZ_KEY_F8 = 0x41, APPLEVZ_KEY_F9 = 0x42,
    APPLEVZ_KEY_F10 = 0x43, APPLEVZ_KEY_F11 = 0x44, APPLEVZ_KEY_F12 = 0x45, APPLEVZ_KEY_PRINT_SCREEN = 0x46,
    APPLEVZ_KEY_SCROLL_LOCK = 0x47, APPLEVZ_KEY_PAUSE = 0x48, APPLEVZ_KEY_INSERT = 0x49,
    APPLEVZ_KEY_HOME = 0x4a, APPLEVZ_KEY_PAGE_UP = 0x4b, APPLEVZ_KEY_DELETE = 0x4c, APPLEVZ_KEY_END = 0x4d,
    APPLEVZ_KEY_PAGE_DOWN = 0x4e, APPLEVZ_KEY_RIGHT = 0x4f, APPLEVZ_KEY_LEFT = 0x50, APPLEVZ_KEY_DOWN = 0x51,
    APPLEVZ_KEY_UP = 0x52, APPLEVZ_KEY_NUM_LOCK = 0x53, APPLEVZ_KEY_KEYPAD_DIVIDE = 0x54,
    APPLEVZ_KEY_KEYPAD_MULTIPLY = 0x55, APPLEVZ_KEY_KEYPAD_SUBTRACT = 0x56, APPLEVZ_KEY_KEYPAD_ADD = 0x57,
    APPLEVZ_KEY_KEYPAD_ENTER = 0x58, APPLEVZ_KEY_KEYPAD_1 = 0x59, APPLEVZ_KEY_KEYPAD_2 = 0x5a,
    APPLEVZ_KEY_KEYPAD_3 = 0x5b, APPLEVZ_KEY_KEYPAD_4 = 0x5c, APPLEVZ_KEY_KEYPAD_5 = 0x5d,
    APPLEVZ_KEY_KEYPAD_6 = 0x5e, APPLEVZ_KEY_KEYPAD_7 = 0x5f, APPLEVZ_KEY_KEYPAD_8 = 0x60,
    APPLEVZ_KEY_KEYPAD_9 = 0x61, APPLEVZ_KEY_KEYPAD_0 = 0x62, APPLEVZ_KEY_KEYPAD_DECIMAL = 0x63,
    APPLEVZ_KEY_NON_US_BACKSLASH = 0x64, APPLEVZ_KEY_APPLICATION = 0x65, APPLEVZ_KEY_CONTROL = 0xe0,
    APPLEVZ_KEY_SHIFT = 0xe1, APPLEVZ_KEY_ALT = 0xe2, APPLEVZ_KEY_META = 0xe3,
    APPLEVZ_KEY_RIGHT_CONTROL = 0xe4, APPLEVZ_KEY_RIGHT_SHIFT = 0xe5, APPLEVZ_KEY_RIGHT_ALT = 0xe6,
    APPLEVZ_KEY_RIGHT_META = 0xe7
    /* clang-format on */
};

enum applevz_pointer_button {
    APPLEVZ_POINTER_BUTTON_LEFT = 0,
    APPLEVZ_POINTER_BUTTON_RIGHT = 1,
    APPLEVZ_POINTER_BUTTON_MIDDLE = 2
};

enum applevz_input_kind {
    APPLEVZ_INPUT_KIND_KEY_DOWN,
    APPLEVZ_INPUT_KIND_KEY_UP,
    APPLEVZ_INPUT_KIND_BUTTON_DOWN,
    APPLEVZ_INPUT_KIND_BUTTON_UP,
    APPLEVZ_INPUT_KIND_POINTER_MOVED,
    APPLEVZ_INPUT_KIND_SCROLLED_UP, /* by one notch of a wheel, away from the user */
    APPLEVZ_INPUT_KIND_SCROLLED_DOWN
};

typedef struct applevz_input_event {
    enum applevz_input_kind kind;
    int code;    /* enum applevz_key or enum applevz_pointer_button, for the kinds that have one */
    double x, y; /* where the pointer moved to: parts of the display's width and height, from 0 to less than 1 */
} applevz_input_event;

/* Sends the events to a running machine's keyboard and pointing device, with `interval` seconds after each. A guest
   that is slower than that for long loses some. Completes when all were sent. The events of two calls are not mixed. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_send_input(applevz_machine *machine, const applevz_input_event *events,
                                                     size_t count, double interval,
                                                     applevz_operation **operation) CF_RETURNS_RETAINED;
/* ---- USB devices of a machine, from macOS 15 on ---- */

/* A VZUSBMassStorageDevice, which was made or came with a configuration. */
typedef struct applevz_usb_device applevz_usb_device;

APPLEVZ_EXPORT CFErrorRef applevz_usb_device_create(applevz_storage_device_attachment *attachment, const char *uuid,
                                                    size_t uuid_length,
                                                    applevz_usb_device **device) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT void applevz_usb_device_release(applevz_usb_device *device);
APPLEVZ_EXPORT CFErrorRef applevz_usb_device_uuid(applevz_usb_device *device, char **text,
                                                  size_t *length) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_machine_usb_controller_count(applevz_machine *machine,
                                                               size_t *count) CF_RETURNS_RETAINED;
/* The number of devices that are attached to the `controller`-th controller. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_usb_device_count(applevz_machine *machine, size_t controller,
                                                           size_t *count) CF_RETURNS_RETAINED;
/* The `index`-th of them; NULL if there is none any more. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_usb_device(applevz_machine *machine, size_t controller, size_t index,
                                                     applevz_usb_device **device) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_machine_has_usb_device(applevz_machine *machine, size_t controller,
                                                         applevz_usb_device *device,
                                                         bool *attached) CF_RETURNS_RETAINED;
/* attachDevice:completionHandler: and detachDevice:completionHandler: of a running or paused machine's controller. The
   attachment is what the device was made with. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_attach_usb_device(applevz_machine *machine, size_t controller,
                                                            applevz_usb_device *device,
                                                            applevz_storage_device_attachment *attachment,
                                                            applevz_operation **operation) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_machine_detach_usb_device(applevz_machine *machine, size_t controller,
                                                            applevz_usb_device *device,
                                                            applevz_operation **operation) CF_RETURNS_RETAINED;

APPLEVZ_EXPORT CFErrorRef applevz_machine_socket_device_count(applevz_machine *machine,
                                                              size_t *count) CF_RETURNS_RETAINED;
/* connectToPort: of the machine's `index`-th VZVirtioSocketDevice, tried again while nothing in the guest listens.
   Completes with the descriptor of a connected socket. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_socket_connect(applevz_machine *machine, size_t index, uint32_t port,
                                                         applevz_operation **operation) CF_RETURNS_RETAINED;

/* The connections that a guest makes to one port, taken in their order. Its release frees the port. */
typedef struct applevz_socket_listener applevz_socket_listener;

/* setSocketListener:forPort:. The listener stays as long as the machine, also over a discard. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_socket_listen(applevz_machine *machine, size_t index, uint32_t port,
                                                        applevz_socket_listener **listener) CF_RETURNS_RETAINED;
/* The descriptor of the oldest connection, the caller's from here on; -1 if there is none. Never waits. */
APPLEVZ_EXPORT CFErrorRef applevz_socket_listener_take(applevz_socket_listener *listener,
                                                       int *descriptor) CF_RETURNS_RETAINED;
/* Completes when there is a connection to be taken. All operations that wait complete, and one caller takes it. */
APPLEVZ_EXPORT CFErrorRef applevz_socket_listener_wait(applevz_socket_listener *listener,
                                                       applevz_operation **operation) CF_RETURNS_RETAINED;
/* Frees the port. Operations that wait complete with an error. Connections that nobody has taken are closed. */
APPLEVZ_EXPORT CFErrorRef applevz_socket_listener_close(applevz_socket_listener *listener) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT void applevz_socket_listener_release(applevz_socket_listener *listener);

APPLEVZ_EXPORT CFErrorRef applevz_machine_memory_balloon_count(applevz_machine *machine,
                                                               size_t *count) CF_RETURNS_RETAINED;
/* targetVirtualMachineMemorySize of the machine's `index`-th VZVirtioTraditionalMemoryBalloonDevice. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_memory_balloon_target(applevz_machine *machine, size_t index,
                                                                uint64_t *bytes) CF_RETURNS_RETAINED;
/* Sets it: from the least memory that a machine can have to the machine's own, rounded down to MiB. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_set_memory_balloon_target(applevz_machine *machine, size_t index,
                                                                    uint64_t bytes) CF_RETURNS_RETAINED;

APPLEVZ_EXPORT CFErrorRef applevz_machine_start(applevz_machine *machine,
                                                applevz_operation **operation) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_machine_pause(applevz_machine *machine,
                                                applevz_operation **operation) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_machine_resume(applevz_machine *machine,
                                                 applevz_operation **operation) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT CFErrorRef applevz_machine_stop(applevz_machine *machine,
                                               applevz_operation **operation) CF_RETURNS_RETAINED;
/* Asks the guest to stop. Completes when it was asked. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_request_stop(applevz_machine *machine,
                                                       applevz_operation **operation) CF_RETURNS_RETAINED;
/* Writes a paused machine's state to a file. The machine is paused afterwards, too. A file that exists is refused, or
   with `overwrite` replaced in one step, once the new one is whole. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_save_state(applevz_machine *machine, const char *path, size_t path_length,
                                                     bool overwrite, applevz_operation **operation) CF_RETURNS_RETAINED;
/* The same, and stops the machine. Its memory becomes part of the file without a copy, if the platform can do that. If
   the machine cannot be saved, it is paused as before. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_suspend_to_file(applevz_machine *machine, const char *path,
                                                          size_t path_length, bool overwrite,
                                                          applevz_operation **operation) CF_RETURNS_RETAINED;
/* Brings a stopped machine into the state that was saved. It is paused afterwards, or stopped if that failed. With
   `private_mapping` it runs on the file itself, mapped privately, and not on a copy, if the platform can do that. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_restore_state(applevz_machine *machine, const char *path, size_t path_length,
                                                        bool private_mapping,
                                                        applevz_operation **operation) CF_RETURNS_RETAINED;
/* Ends the machine from any state: it leaves the framework's object. The next verb gets a new, stopped object of the
   same configuration. Calls that are under way on the old one fail with APPLEVZ_ERROR_OPERATION_CANCELLED. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_discard(applevz_machine *machine,
                                                  applevz_operation **operation) CF_RETURNS_RETAINED;
/* Completes when the machine's state is one of `states`: bit 1 << state for each. Its value is that state, which the
   machine may have left since. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_wait_for_state(applevz_machine *machine, uint32_t states,
                                                         applevz_operation **operation) CF_RETURNS_RETAINED;
/* The error of virtualMachine:didStopWithError:; NULL if the guest has not stopped with one since the last start. The
   caller owns it. In a forked process it is APPLEVZ_BRIDGE_ERROR_FORKED. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_copy_stop_error(applevz_machine *machine) CF_RETURNS_RETAINED;

/* ---- The events of a machine ------------------------------------------------------------------------------------ */

enum applevz_event_kind {
    APPLEVZ_EVENT_KIND_STATE_CHANGED,
    APPLEVZ_EVENT_KIND_GUEST_STOPPED,      /* guestDidStopVirtualMachine: */
    APPLEVZ_EVENT_KIND_STOPPED_WITH_ERROR, /* virtualMachine:didStopWithError: */
    /* virtualMachine:networkDevice:attachmentWasDisconnectedWithError: */
    APPLEVZ_EVENT_KIND_NETWORK_DISCONNECTED,
    APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_CONNECTED, /* attachmentWasConnected: */
    APPLEVZ_EVENT_KIND_NETWORK_BLOCK_DEVICE_FAILED,    /* attachment:didEncounterError: */
    APPLEVZ_EVENT_KIND_PORT_OPENED,                    /* consoleDevice:didOpenPort: */
    APPLEVZ_EVENT_KIND_PORT_CLOSED,                    /* consoleDevice:didClosePort: */
    /* by the guest's agent, after a restore; with its error if it refused */
    APPLEVZ_EVENT_KIND_GUEST_CLOCK_SET,
    APPLEVZ_EVENT_KIND_GUEST_PANICKED, /* told by the framework, or seen on a console (applevz_machine_tell_panic) */
    APPLEVZ_EVENT_KIND_GUEST_RESET,    /* told by the framework, if it tells that */
    APPLEVZ_EVENT_KIND_DISK_FULL       /* likewise: what a guest wrote to a disk found no room */
};

/* The cause of an event: a verb, by its name, or the host or the guest by itself. */
enum applevz_event_cause {
    APPLEVZ_EVENT_CAUSE_HOST,
    APPLEVZ_EVENT_CAUSE_GUEST,
    APPLEVZ_EVENT_CAUSE_START,
    APPLEVZ_EVENT_CAUSE_PAUSE,
    APPLEVZ_EVENT_CAUSE_RESUME,
    APPLEVZ_EVENT_CAUSE_STOP,
    APPLEVZ_EVENT_CAUSE_SAVE,
    APPLEVZ_EVENT_CAUSE_RESTORE,
    APPLEVZ_EVENT_CAUSE_DISCARD
};

/* The number of a machine's events that are kept until they are taken: the youngest. */
enum { APPLEVZ_EVENT_CAPACITY = 256 };

typedef struct applevz_event {
    uint64_t number;       /* 1 for the machine's first event, without gaps; 0 if there is no event */
    uint64_t dropped;      /* the number of events just before it that were dropped, beyond APPLEVZ_EVENT_CAPACITY */
    double time;           /* seconds since 1970 */
    double monotonic_time; /* seconds of CLOCK_MONOTONIC */
    enum applevz_event_kind kind;
    enum applevz_event_cause cause;
    enum applevz_machine_state state_before; /* the same as `state`, unless it is the state that changed */
    enum applevz_machine_state state;
    /* the index of the network card, the storage device or the console device that the event is of; -1 for the
       machine's own events, and for a USB device's */
    int64_t device;
    int64_t port;        /* the console device's port that it is about; -1 in any other event */
    char usb_device[37]; /* the UUID of the USB device that the event is of; "" in any other event */
    CFErrorRef error;    /* why the verb failed or the machine stopped; NULL otherwise. The caller owns it */
} applevz_event;

/* Takes the oldest event, in the order in which the machine's queue saw them; one with the number 0 if there is none.
   The events of a verb are here before the verb completes. Never waits. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_next_event(applevz_machine *machine,
                                                     applevz_event *event) CF_RETURNS_RETAINED;
/* Completes when there is an event to be taken. All operations that wait complete, and one caller takes it. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_wait_for_event(applevz_machine *machine,
                                                         applevz_operation **operation) CF_RETURNS_RETAINED;

/* Has figures taken of the machine as it runs, and completes when they are there. It never fails for a figure that
   cannot be had. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_take_statistics(applevz_machine *machine,
                                                          applevz_operation **operation) CF_RETURNS_RETAINED;
/* Those that were taken last, as a JSON object for applevz_free. What nobody can tell is not in it. Sizes are numbers
   of bytes, durations of seconds. Its members are uptime, processor_time, memory_resident, balloon_size,
   guest_memory_total, guest_memory_available and guest_memory_free; `disks`, an array of an object for each storage
   device, with read_bytes, read_operations, written_bytes, write_operations and flush_operations; and `networks`,
   likewise for each network card, with mac_address, received_bytes, received_packets, sent_bytes and sent_packets, as
   its guest receives and sends them. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_statistics(applevz_machine *machine, char **json,
                                                     size_t *length) CF_RETURNS_RETAINED;

/* Whoever receives what a guest's kernel prints says that it printed of its panic. That is an event, unless the
   framework has told it already. `for_good` says that the kernel printed that it stays so, which causes no event.
   `anew` says that the same console has shown a panic of this run before. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_tell_panic(applevz_machine *machine, bool for_good,
                                                     bool anew) CF_RETURNS_RETAINED;
/* How many panics of the machine's guests there were, times 2; and 1 more while the present guest is one that panicked
   and does not start anew. Never waits. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_panics(applevz_machine *machine, uint64_t *panics) CF_RETURNS_RETAINED;
/* What of applevz_confinement was in force at its last start or restore. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_confinement(applevz_machine *machine,
                                                      uint32_t *confinement) CF_RETURNS_RETAINED;

/* ---- Saved states ---------------------------------------------------------------------------------------------- */

typedef struct applevz_saved_state applevz_saved_state;

/* Opens a saved state for reading, to be looked into. *state is NULL for a file that has not the end of one. */
APPLEVZ_EXPORT CFErrorRef applevz_saved_state_open(const char *path, size_t path_length,
                                                   applevz_saved_state **state) CF_RETURNS_RETAINED;
APPLEVZ_EXPORT void applevz_saved_state_release(applevz_saved_state *state);
/* What it says of itself, as a JSON object. Types are checked, but whoever wrote the file may have written anything:
     format      the version of its format
     identifier  32 hexadecimal digits, by which it is known
     parent      that of the state which its machine was restored from, or saved as, before; or null
     made        when it was saved: microseconds since 1970
     qemu        the version of QEMU
     memory      of its machine, in bytes; or null
     size        of the file, in bytes
     allocated   the room that it takes
     fields      what the machine has to be: names and values, in pairs
     disks       name   of the attachment
                 path   of the image that the state needs, escaped as in a URL; or null
                 held   the bytes that the state holds of it; or null if it holds none
                 size   of the disk, in bytes; or null
                 image size  of the disk that that image is, in bytes; or null
                 written  when that image was written last: seconds since 1970, and nanoseconds; or null */
APPLEVZ_EXPORT CFErrorRef applevz_saved_state_describe(applevz_saved_state *state, char **text,
                                                       size_t *length) CF_RETURNS_RETAINED;
/* Checks what follows on what was checked before: at most so many bytes that the file holds, or a little more. *done
   are the bytes that are behind it then; as many as the file has once all is checked. Reads from the disk. */
APPLEVZ_EXPORT CFErrorRef applevz_saved_state_check_next(applevz_saved_state *state, uint64_t length,
                                                         uint64_t *done) CF_RETURNS_RETAINED;

/* Whether a machine of the configuration would take a private restore from it. Opens what a restore opens, and runs no
   guest. */
APPLEVZ_EXPORT CFErrorRef applevz_saved_state_check_configuration(
    applevz_saved_state *state, applevz_configuration *configuration) CF_RETURNS_RETAINED;

/* ---- The framework's notices ---------------------------------------------------------------------------------- */

/* The framework's calls and callbacks, as they came. The bridge makes operations, states and events of them. They show
   in which order a framework reports. */
enum applevz_notice_kind {
    APPLEVZ_NOTICE_KIND_CALLED,            /* a verb of VZVirtualMachine is called */
    APPLEVZ_NOTICE_KIND_RETURNED,          /* … and has returned */
    APPLEVZ_NOTICE_KIND_COMPLETED,         /* its completion handler was called */
    APPLEVZ_NOTICE_KIND_STATE_OBSERVED,    /* key-value observation of `state` */
    APPLEVZ_NOTICE_KIND_GUEST_STOPPED,     /* guestDidStopVirtualMachine: */
    APPLEVZ_NOTICE_KIND_STOPPED_WITH_ERROR /* virtualMachine:didStopWithError: */
};

/* The number of a machine's notices that are kept: the youngest. */
enum { APPLEVZ_NOTICE_CAPACITY = 1024 };

typedef struct applevz_notice {
    uint64_t number;       /* 1 for the machine's first notice, without gaps; 0 if there is no notice */
    uint64_t call;         /* of the first three kinds the number of the call, from 1; 0 otherwise */
    uint64_t turn;         /* notices of one number came before the queue ran what was put there at the first of them */
    double monotonic_time; /* seconds of CLOCK_MONOTONIC */
    enum applevz_notice_kind kind;
    enum applevz_machine_state
        state;        /* the property `state` at that time; if `on_queue` is false, the state that was announced last */
    bool on_queue;    /* whether it came on the machine's queue, as it is documented */
    CFErrorRef error; /* NULL without one; the caller owns it */
} applevz_notice;

/* Keeps a machine's notices from here on. Call it before the machine is used. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_keep_notices(applevz_machine *machine) CF_RETURNS_RETAINED;
/* Takes the oldest one; one with the number 0 if there is none. Never waits. */
APPLEVZ_EXPORT CFErrorRef applevz_machine_next_notice(applevz_machine *machine,
                                                      applevz_notice *notice) CF_RETURNS_RETAINED;

/* The framework's own errors for a configuration, an attachment, a variable store, saving or restoring. The bridge may
   say more in its own, or look at the file itself. The number that is kept in a process: the youngest. */
enum { APPLEVZ_REFUSAL_CAPACITY = 64 };

/* Keeps them from here on, or no longer. Those that were kept are dropped. */
APPLEVZ_EXPORT CFErrorRef applevz_keep_refusals(bool keep) CF_RETURNS_RETAINED;
/* Takes the oldest one; NULL if there is none. */
APPLEVZ_EXPORT CFErrorRef applevz_next_refusal(void) CF_RETURNS_RETAINED;

#ifndef APPLEVZ_BINDING
#ifdef __cplusplus
}
#endif
#endif

#endif
