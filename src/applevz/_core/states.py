# SPDX-License-Identifier: Apache-2.0
"""The states of a machine, and the ways to shut it down."""

from __future__ import annotations

import enum
from typing import Final

from .._native import lib

__all__ = ["ENDED", "ENDED_BITS", "ShutdownPolicy", "VirtualMachineState"]

# The states in which a machine has no guest: nothing is taken there, and nothing printed.
ENDED: Final = (lib.APPLEVZ_MACHINE_STATE_STOPPED, lib.APPLEVZ_MACHINE_STATE_ERROR)
# As `applevz_machine_wait_for_state` takes them: a bit for each.
ENDED_BITS: Final = 1 << lib.APPLEVZ_MACHINE_STATE_STOPPED | 1 << lib.APPLEVZ_MACHINE_STATE_ERROR


class VirtualMachineState(enum.IntEnum):
    """The state of a machine (`VZVirtualMachineState`)."""

    STOPPED = lib.APPLEVZ_MACHINE_STATE_STOPPED
    RUNNING = lib.APPLEVZ_MACHINE_STATE_RUNNING
    PAUSED = lib.APPLEVZ_MACHINE_STATE_PAUSED
    ERROR = lib.APPLEVZ_MACHINE_STATE_ERROR
    STARTING = lib.APPLEVZ_MACHINE_STATE_STARTING
    PAUSING = lib.APPLEVZ_MACHINE_STATE_PAUSING
    RESUMING = lib.APPLEVZ_MACHINE_STATE_RESUMING
    STOPPING = lib.APPLEVZ_MACHINE_STATE_STOPPING
    SAVING = lib.APPLEVZ_MACHINE_STATE_SAVING
    RESTORING = lib.APPLEVZ_MACHINE_STATE_RESTORING


class ShutdownPolicy(enum.Enum):
    """How `VirtualMachine.shutdown` ends a machine."""

    POWERDOWN = "powerdown"
    """Asks the guest, as a power button does, and waits until it stopped by itself."""
    HALT = "halt"
    """Stops the machine without asking the guest, if it runs or is paused."""
    POWEROFF = "poweroff"
    """Stops the machine from any state."""
