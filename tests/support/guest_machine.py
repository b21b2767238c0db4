# SPDX-License-Identifier: Apache-2.0
"""A machine with the default guest, used as somebody at its keyboard does."""

from __future__ import annotations

import dataclasses

import applevz

# A guest under emulation on a busy machine takes its time. This is how long a test waits before it says that the guest
# does not come; how fast it comes is the benchmark's business.
PATIENCE = 120.0
READY = b"applevz guest: ready\n"
PROMPT = b"guest# "


class Guest:
    def __init__(self, machine: applevz.VirtualMachine) -> None:
        self.machine = machine
        self.console = machine.console

    def start(self) -> Guest:
        """Boots, up to the first prompt."""
        self.machine.start(timeout=PATIENCE)
        self.console.read_until(READY, timeout=PATIENCE)
        self.console.read_until(PROMPT, timeout=PATIENCE)
        return self

    def run(self, command: str) -> str:
        """What a command prints."""
        self.console.write(command.encode() + b"\n", timeout=PATIENCE)
        return self.console.read_until(PROMPT, timeout=PATIENCE)[: -len(PROMPT)].decode().strip()

    def wait_for_disk(self, name: str) -> None:
        """Until something can be read of it: a USB disk's first answer is that it is a new one, and the kernel, which
        has shown it already, asks again."""
        read = f"dd if=/dev/{name} of=/dev/null bs=512 count=1 iflag=direct"
        self.run(f"until {read}; do usleep 10000; done 2>/dev/null")


def with_agent(configuration: applevz.VirtualMachineConfiguration) -> applevz.VirtualMachineConfiguration:
    """Has the boot loader bring the agent along."""
    assert isinstance(configuration.boot_loader, applevz.LinuxBootLoader)
    configuration.boot_loader = dataclasses.replace(configuration.boot_loader, guest_agent=True)
    return configuration
