# SPDX-License-Identifier: Apache-2.0
"""The capabilities of this host. Each is looked up when it is read, and not before."""

from __future__ import annotations

from .._native import lib
from ..errors import Error, exception_of

__all__ = ["Capabilities", "Capability", "capabilities"]


class Capability:
    """One thing that the host can do or not: true if it can."""

    __slots__ = ("error", "name")

    def __init__(self, name: str, error: Error | None) -> None:
        self.name = name
        self.error = error
        """The exception that says what the host lacks, to be raised or shown; None if it lacks nothing."""

    def __bool__(self) -> bool:
        return self.error is None

    @property
    def reason(self) -> str | None:
        """The words that say what the host lacks; None if it lacks nothing."""
        if self.error is None:
            return None
        return self.error.failure_reason or self.error.localized_description

    def __repr__(self) -> str:
        return f"<Capability {self.name}: {'yes' if self else f'no: {self.reason}'}>"


class Capabilities:
    """The host's capabilities, looked up at each reading. Each says what it takes on Linux and on a Mac."""

    # website/reference.py makes a table of these words, by "On Linux:" and "On a Mac:". What begins with "never" there
    # is false on that platform, whatever the host has.

    __slots__ = ()

    @property
    def virtualization(self) -> Capability:
        """Machines can be run at all.

        On Linux: QEMU 7.2 or later.
        On a Mac: the entitlement com.apple.security.virtualization for the process, and no Rosetta that translates it.
        The command `python -m applevz sign` gives the entitlement to the Python that runs it.
        """
        return _capability("virtualization", lib.APPLEVZ_CAPABILITY_VIRTUALIZATION)

    @property
    def hardware_acceleration(self) -> Capability:
        """Machines run at the processor's own speed, not by emulation. The first look-up may take a second.

        On Linux: KVM, which this user may open (/dev/kvm).
        On a Mac: as virtualization.
        """
        return _capability("hardware_acceleration", lib.APPLEVZ_CAPABILITY_HARDWARE_ACCELERATION)

    @property
    def command_line_additions(self) -> Capability:
        """The platform adds words to a Linux kernel's command line, unless the boot loader is told not to.

        On Linux: a host without hardware acceleration.
        On a Mac: never.
        """
        return _capability("command_line_additions", lib.APPLEVZ_CAPABILITY_COMMAND_LINE_ADDITIONS)

    @property
    def save_restore(self) -> Capability:
        """A machine's state can be saved to a file and restored from it.

        On Linux: as virtualization.
        On a Mac: macOS 14 and Apple silicon.
        """
        return _capability("save_restore", lib.APPLEVZ_CAPABILITY_SAVE_RESTORE)

    @property
    def memory_directory(self) -> Capability:
        """A guest's memory can be a file in a folder: `VirtualMachineConfiguration.memory_directory`.

        On Linux: as virtualization.
        On a Mac: never.
        """
        return _capability("memory_directory", lib.APPLEVZ_CAPABILITY_MEMORY_DIRECTORY)

    @property
    def generation_identifier(self) -> Capability:
        """A guest can be told that it goes on as another machine: `GenericPlatformConfiguration`.

        On Linux: as virtualization.
        On a Mac: never.
        """
        return _capability("generation_identifier", lib.APPLEVZ_CAPABILITY_GENERATION_IDENTIFIER)

    @property
    def nested_virtualization(self) -> Capability:
        """A guest can run machines of its own: `GenericPlatformConfiguration`.

        On Linux: hardware acceleration, and a KVM that is set up for it.
        On a Mac: macOS 15 and an M3.
        """
        return _capability("nested_virtualization", lib.APPLEVZ_CAPABILITY_NESTED_VIRTUALIZATION)

    @property
    def efi(self) -> Capability:
        """A guest can be booted by EFI firmware: `EFIBootLoader`.

        On Linux: firmware, a package of its own (ovmf).
        On a Mac: as virtualization.
        """
        return _capability("efi", lib.APPLEVZ_CAPABILITY_EFI)

    @property
    def shared_directories(self) -> Capability:
        """Directories of the host can be shared with a guest, read-only or not: `VirtioFileSystemDeviceConfiguration`.

        On Linux: virtiofsd, and the right to make mounts. The look-up makes some, which nobody else sees.
        On a Mac: as virtualization.
        """
        return _capability("shared_directories", lib.APPLEVZ_CAPABILITY_SHARED_DIRECTORIES)

    @property
    def sockets(self) -> Capability:
        """A guest can have sockets to this host: `VirtioSocketDeviceConfiguration`.

        On Linux: the kernel's module vhost_vsock.
        On a Mac: as virtualization.
        """
        return _capability("sockets", lib.APPLEVZ_CAPABILITY_SOCKETS)

    @property
    def bridged_networks(self) -> Capability:
        """A network card can be connected to a network of the host's: `BridgedNetworkDeviceAttachment`.

        On Linux: CAP_NET_ADMIN, or QEMU's helper.
        On a Mac: the entitlement com.apple.vm.networking.
        """
        return _capability("bridged_networks", lib.APPLEVZ_CAPABILITY_BRIDGED_NETWORKS)

    @property
    def isolated_networks(self) -> Capability:
        """A guest's network can have no way out: `NATNetworkDeviceAttachment.internet`.

        On Linux: as virtualization.
        On a Mac: never.
        """
        return _capability("isolated_networks", lib.APPLEVZ_CAPABILITY_ISOLATED_NETWORKS)

    @property
    def host_isolation(self) -> Capability:
        """A guest's network has no way to the host unless it is asked for: `NATNetworkDeviceAttachment.host_access`.

        On Linux: Linux 5.9, and the right to see into QEMU, which not all containers give.
        On a Mac: never.
        """
        return _capability("host_isolation", lib.APPLEVZ_CAPABILITY_HOST_ISOLATION)

    @property
    def screenshots(self) -> Capability:
        """A guest's display can be taken as a picture: `VirtualMachine.screenshot`.

        On Linux: as virtualization.
        On a Mac: never.
        """
        return _capability("screenshots", lib.APPLEVZ_CAPABILITY_SCREENSHOTS)

    @property
    def input_events(self) -> Capability:
        """A program can press keys and move the pointer: `VirtualMachine.keyboard`, `pointer`.

        On Linux: as virtualization.
        On a Mac: never.
        """
        return _capability("input_events", lib.APPLEVZ_CAPABILITY_INPUT_EVENTS)

    @property
    def guest_agent(self) -> Capability:
        """A guest can be brought this package's agent: `LinuxBootLoader.guest_agent`.

        On Linux: a package that was built with it.
        On a Mac: a package that was built with it.
        """
        from .guest_agent import guest_agent_missing  # what it needs is slow to import

        return Capability("guest_agent", guest_agent_missing())

    @property
    def early_console(self) -> Capability:
        """A console for what a kernel prints before it has a driver for one: `LinuxBootLoader`.

        On Linux: as virtualization.
        On a Mac: never.
        """
        return _capability("early_console", lib.APPLEVZ_CAPABILITY_EARLY_CONSOLE)

    @property
    def disk_overlays(self) -> Capability:
        """A disk can keep what differs from another, or be gone with its machine: `DiskImageStorageDeviceAttachment`.

        On Linux: as virtualization.
        On a Mac: never.
        """
        return _capability("disk_overlays", lib.APPLEVZ_CAPABILITY_DISK_OVERLAYS)

    @property
    def saved_state_inspection(self) -> Capability:
        """A saved state can be looked into, and checked without a machine: `applevz.states`.

        On Linux: always.
        On a Mac: never.
        """
        return _capability("saved_state_inspection", lib.APPLEVZ_CAPABILITY_SAVED_STATE_INSPECTION)

    @property
    def confinement(self) -> Capability:
        """What runs a machine can be kept from all of the host that is not its own: `Confinement`.

        On Linux: Linux 5.13 with Landlock, and what `host_isolation` takes.
        On a Mac: never: the framework tells nothing of it.
        """
        return _capability("confinement", lib.APPLEVZ_CAPABILITY_CONFINEMENT)

    @property
    def separate_users(self) -> Capability:
        """What runs a machine has a user of its own, whom no other process has: `Confinement.USER`.

        On Linux: for root, whose process has the kernel's capabilities SETUID, SETGID, KILL and SYS_PTRACE, and a QEMU
        that everybody may run.
        On a Mac: never.
        """
        return _capability("separate_users", lib.APPLEVZ_CAPABILITY_SEPARATE_USERS)

    @property
    def disk_limits(self) -> Capability:
        """What a guest writes, and how fast its disks are, can be limited: `ResourceLimits`.

        On Linux: as virtualization.
        On a Mac: never.
        """
        return _capability("disk_limits", lib.APPLEVZ_CAPABILITY_DISK_LIMITS)

    @property
    def control_groups(self) -> Capability:
        """The processor time and the memory of a machine can be limited: `ResourceLimits.processors` and `memory`.

        On Linux: a control group (cgroup version 2) with cpu and memory that was delegated to this process. One that
        is named in a configuration does without.
        On a Mac: never.
        """
        return _capability("control_groups", lib.APPLEVZ_CAPABILITY_CONTROL_GROUPS)

    @property
    def guest_resets(self) -> Capability:
        """A guest's reset is an event, or stops the machine: `VirtualMachineConfiguration.stop_at_reset`.

        On Linux: as virtualization.
        On a Mac: never.
        """
        return _capability("guest_resets", lib.APPLEVZ_CAPABILITY_GUEST_RESETS)

    @property
    def sound(self) -> Capability:
        """A guest can have a sound device. This package has no class for it; programs in Objective-C have.

        On Linux: never.
        On a Mac: never.
        """
        return _capability("sound", lib.APPLEVZ_CAPABILITY_SOUND)

    @property
    def macos_guests(self) -> Capability:
        """A guest can be macOS. Apple's framework can do that on a Mac; this package runs Linux guests.

        On Linux: never.
        On a Mac: never.
        """
        return _capability("macos_guests", lib.APPLEVZ_CAPABILITY_MACOS_GUESTS)

    @property
    def rosetta(self) -> Capability:
        """A Linux guest can run programs for x86-64 by Apple's Rosetta. This package has no class for it.

        On Linux: never.
        On a Mac: never.
        """
        return _capability("rosetta", lib.APPLEVZ_CAPABILITY_ROSETTA)

    @property
    def machine_view(self) -> Capability:
        """A guest's display can be shown in a window of the host program's. This package has no class for it.

        On Linux: never.
        On a Mac: never.
        """
        return _capability("machine_view", lib.APPLEVZ_CAPABILITY_MACHINE_VIEW)

    def __repr__(self) -> str:
        names = (name for name, value in vars(type(self)).items() if isinstance(value, property))
        return f"<{', '.join(repr(getattr(self, name)) for name in names)}>"


capabilities = Capabilities()


def _capability(name: str, number: int) -> Capability:
    error = lib.applevz_capability_check(number)
    return Capability(name, None if error is None else exception_of(error))
