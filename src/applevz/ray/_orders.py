# SPDX-License-Identifier: Apache-2.0
"""What a host is told before it makes machines: which, from which state, and which files they take."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .._core.fitting import fitting
from .._host.capabilities import capabilities
from .._images.task import Task
from .._states.checking import check_configuration_of
from .._states.saved_state import SavedState, inspect_state
from .._values.arguments import PathLike, instance
from .._values.arguments import path as path_argument
from .._values.sizes import size as size_argument
from ..configuration.machine import VirtualMachineConfiguration
from ._carried import CarriedFile, carried_files, pathless, with_files
from ._contents import PIECE, Content, ContentStore, Held, content_of, pieces_of, write_pieces
from ._hosts import Requirements, check_host, describe_host, host_processor
from ._sources import Source

__all__ = ["Configuration", "Given", "Order", "Outline", "Present", "order_for", "present_on_this_host"]

Configuration = VirtualMachineConfiguration | Callable[[], VirtualMachineConfiguration]

# What is behind the memory of a state is small, unless it holds disks. More is not sent before the state itself.
_LONGEST_OUTLINE: Final = 4 * PIECE
# QEMU's stream begins so. A state that has it first has no memory as it is: it is in the stream.
_STREAM: Final = b"QEVM"


@dataclass(frozen=True)
class Outline:
    """A state without its memory: enough to tell whether a machine can be restored from it."""

    size: int
    pieces: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Order:
    """Sent to each host."""

    needed: Requirements
    configuration: Configuration
    """Without this host's paths, or a function that is called there."""
    files: tuple[CarriedFile, ...]
    state: Content | None
    outline: Outline | None
    cache: str | None
    """The folder of the cache there; None for that of its user."""
    cache_size: int | None
    """How many bytes the files may take there that are kept."""


@dataclass(frozen=True)
class Given:
    """A file that has to be given out before a host can have it."""

    content: Content
    path: bytes


def order_for(
    configuration: Configuration,
    state: PathLike | None,
    *,
    cache: str | None = None,
    cache_size: int | None = None,
    any_processor: bool = False,
) -> tuple[Order, list[Given]]:
    """The order, and the files that go with it. All of them are read.

    Raises `InvalidArgumentError`, `RestoreError` for a file that is no state, and `POSIXError` for a missing file.
    """
    from .. import __version__

    given: list[Given] = []
    files: list[CarriedFile] = []
    if not callable(configuration):
        instance("configuration", configuration, (VirtualMachineConfiguration,))
        for file, path in carried_files(configuration):
            files.append(file)
            given.append(Given(file.content, path))
        configuration = pathless(configuration)
    said: SavedState | None = None
    content = None
    if state is not None:
        path = path_argument("state", state)
        if capabilities.saved_state_inspection:
            said = inspect_state(path)
        content = content_of(path)
        given.append(Given(content, path))
    processor = None
    # By emulation the processor is QEMU's own. By KVM it is the host's, of which the state has only the word "host".
    if said is not None and said.accelerator == "kvm" and not any_processor:
        processor = host_processor()
    needed = Requirements(__version__, platform.machine(), processor, said)
    outline = None if said is None or state is None else _outline_of(path_argument("state", state), said)
    order = Order(needed, configuration, tuple(files), content, outline, cache, cache_size)
    return order, list({one.content: one for one in given}.values())


def _outline_of(path: bytes, said: SavedState) -> Outline | None:
    with open(path, "rb") as file:
        if file.read(len(_STREAM)) == _STREAM or said.memory_size is None or said.size <= said.memory_size:
            return None
    pieces = []
    length = 0
    for position, data in pieces_of(path, said.memory_size):
        length += len(data)
        if length > _LONGEST_OUTLINE:
            return None
        pieces.append((position, data))
    return Outline(said.size, tuple(pieces))


class Present:
    """What an order is on the host that got it: the configuration with its files, and the state."""

    def __init__(self, configuration: Configuration, state: Path | None, held: ExitStack) -> None:
        self.configuration = configuration
        self.state = state
        self._held = held

    def made(self) -> VirtualMachineConfiguration:
        """A configuration for one machine."""
        return _made(self.configuration)

    @property
    def memory_size(self) -> int:
        """The memory of one machine, in bytes."""
        return size_argument("memory_size", self.made().memory_size)

    def release(self) -> None:
        """Its files are not needed any more."""
        self._held.close()


def present_on_this_host(order: Order, source: Source, timeout: float | None = None) -> Present:
    """Gets what an order takes, once on this host, and checks that a machine can be made of it.

    What cannot be restored here is refused before the state is sent: `RestoreError` says which field differs. Raises
    the errors of `check_host`, `states.check_configuration` and `ContentStore.obtain`, too.
    """
    host = describe_host()
    check_host(host, order.needed)
    task = Task(
        timeout, None, f"a file on the host {host.name!r}", "is not there", "Allow more time: what came is kept."
    )
    store = ContentStore(order.cache, order.cache_size)
    with ExitStack() as stack:

        def obtained(content: Content) -> Path:
            held: Held = store.obtain(content, lambda: source.pieces(content), task)
            stack.callback(held.release)
            return held.path

        configuration = order.configuration
        if isinstance(configuration, VirtualMachineConfiguration):
            paths = {file.place: obtained(file.content) for file in order.files}
            configuration = with_files(configuration, paths)
        said = order.needed.state
        if order.outline is not None and said is not None:
            with _outlined(store.folder, order.outline, said) as outline:
                _check_fit(configuration, outline, said)
        state = None if order.state is None else obtained(order.state)
        if state is not None and said is not None:
            _check_fit(configuration, state, said)
        held = stack.pop_all()
    return Present(configuration, state, held)


@contextlib.contextmanager
def _outlined(folder: Path, outline: Outline, said: SavedState) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".applevz-outline-", dir=folder.parent / "work") as work:
        path = Path(work) / Path(said.path).name  # errors name it
        write_pieces(path, outline.size, outline.pieces)
        yield path


def _made(configuration: Configuration) -> VirtualMachineConfiguration:
    if isinstance(configuration, VirtualMachineConfiguration):
        return configuration
    made: VirtualMachineConfiguration = instance(
        "What configuration returned", configuration(), (VirtualMachineConfiguration,)
    )
    return made


def _check_fit(configuration: Configuration, path: Path, said: SavedState) -> None:
    made = _made(configuration)
    check_configuration_of(os.fspath(path), fitting(made, said) or made)
