# SPDX-License-Identifier: Apache-2.0
"""`launch` with `cached=True`: the state that a guest goes on from, and how it comes there.

A machine is restored without any lock, from a file that is there when it is whole. Only who finds none that fits has
the lock, boots, and saves; others wait for that, and are restored then. What does not fit is no error: it is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .._images.cached_states import CachedState
from .._images.task import Task
from .._values.arguments import PathLike
from ..configuration.machine import VirtualMachineConfiguration
from ..configuration.network import MACAddress
from ..configuration.platforms import GenericMachineIdentifier
from ..errors import Error, InvalidArgumentError, TimeoutError, make
from .deadline import Deadline
from .fitting import fitting
from .launch_keys import key_of
from .operation import Steps

if TYPE_CHECKING:
    from .._images.task import Progress
    from .machine import BaseVirtualMachine

__all__ = ["CachedLaunch", "LaunchTask", "Wanted"]


class Wanted(Protocol):
    """What was asked for: a call of `launch`, or whoever else has machines go on from one state."""

    deadline: Deadline
    prepare: Callable[[Any], object] | None
    prepare_key: str | None
    random: dict[object, str]


class LaunchTask(Task):
    """Waiting for another launch that makes the state."""

    def __init__(self, what: Wanted, progress: Callable[[Progress], object] | None) -> None:
        super().__init__(
            None,
            progress,
            "the state of this guest",
            "is not made",
            "Another launch of the same guest boots it: allow more time, or launch without `cached`.",
        )
        self._deadline = what.deadline


class CachedLaunch:
    """What a launch with `cached=True` has beside others."""

    def __init__(self, what: Wanted, configuration: VirtualMachineConfiguration, cache: PathLike | None) -> None:
        """Reads what the guest boots from. Raises `InvalidArgumentError` for what cannot be cached."""
        self._what = what
        self.deadline = what.deadline
        self._configuration = configuration
        configuration.validate_save_restore_support()
        self._name_all()
        more = () if what.prepare is None else (str(what.prepare_key),)
        self._state = CachedState(cache, key_of(configuration, what.random, more))

    def _name_all(self) -> None:
        """Gives a name to what would have a new one in each machine: a state fits none that has another."""
        configuration, random = self._configuration, self._what.random
        if configuration.platform.machine_identifier is None:
            identifier = GenericMachineIdentifier.random()
            random[identifier] = "machine identifier"
            configuration.platform = replace(configuration.platform, machine_identifier=identifier)
        cards = list(configuration.network_devices)
        for index, card in enumerate(cards):
            if card.mac_address is None:
                address = MACAddress.random()
                random[address] = "MAC address"
                cards[index] = replace(card, mac_address=address)
        configuration.network_devices = cards
        for number, controller in enumerate(configuration.usb_controllers):
            for index, device in enumerate(controller.usb_devices):
                if device.uuid is None:
                    raise make(
                        InvalidArgumentError,
                        f"cached is True, and usb_controllers[{number}].usb_devices[{index}].uuid is None.",
                        "Such a disk is another one in each machine.",
                        "Give it a UUID.",
                    )

    @property
    def path(self) -> Path:
        """The file of the state. Its name is another one for each guest that is another."""
        return self._state.path

    # ---- Restoring ----

    def configuration(self) -> VirtualMachineConfiguration | None:
        """What a machine is made of that can be restored; None if there is no state for one."""
        state = self._state.found()
        if state is None:
            return None
        found = fitting(self._configuration, state, self._what.random)
        if found is None:
            self._state.refuse()
        return found

    def restore(self, machine: BaseVirtualMachine[Any, Any, Any, Any, Any, Any, Any]) -> Steps[None]:
        yield from machine._restore_state(self._state.path, True, self.deadline)
        self.use()
        yield from machine._start(self.deadline)

    def use(self) -> None:
        """A machine went on from the state: others make room before it."""
        self._state.use()

    def is_refused(self, error: BaseException) -> bool:
        """Whether a machine could not go on from the state: it is booted then. Whose time is over asked for no more,
        and whose own error it is has to see it."""
        if not isinstance(error, Error) or isinstance(error, TimeoutError):
            return False
        self._state.refuse()
        return True

    # ---- Making the state ----

    def lock(self, task: Task) -> AbstractContextManager[None]:
        return self._state.lock(task)

    def work(self) -> AbstractContextManager[Path]:
        return self._state.work()

    def save(self, machine: BaseVirtualMachine[Any, Any, Any, Any, Any, Any, Any], path: Path) -> Steps[None]:
        yield from machine._pause(self.deadline)
        yield from machine._save_state(path, False, self.deadline)
        yield from machine._resume(self.deadline)

    def publish(self, path: Path, task: Task) -> None:
        self._state.publish(path, task)
