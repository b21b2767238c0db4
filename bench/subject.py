# SPDX-License-Identifier: Apache-2.0
"""What a row asks of each subject. A thing that a subject does not have is None where a row asks for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

READY = b"applevz guest: ready"
COMMAND_LINE = "console=hvc0 quiet"


@dataclass(frozen=True)
class Guest:
    kernel: Path
    """Uncompressed."""
    packaged_kernel: Path
    """The same, as a distribution's package has it."""
    initrd: Path


class Named(Protocol):
    """Whatever has figures of its own."""

    name: str


class Machine(ABC):
    """A machine of one processor with one virtio console, stopped at first."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def read_until(self, text: bytes) -> None:
        """Reads what the guest prints, up to a text."""

    @abstractmethod
    def write(self, text: bytes) -> None: ...

    @abstractmethod
    def pause(self) -> None: ...

    @abstractmethod
    def resume(self) -> None: ...

    @abstractmethod
    def state(self) -> object: ...

    @abstractmethod
    def save(self, path: Path) -> None:
        """Saves a paused machine, and leaves it paused or ends it, as the subject does."""

    @abstractmethod
    def suspend(self, path: Path) -> None:
        """From running to saved and ended."""

    @abstractmethod
    def restore(self, path: Path, private: bool) -> None:
        """From stopped, or none, to running."""

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def process(self) -> int:
        """Of the QEMU that runs it."""


class Subject(ABC):
    name: str
    import_statements: ClassVar[dict[str, str]] = {}
    has_private_clones = False
    hands_memory_over = False

    def __init__(self, guest: Guest, folder: Path) -> None:
        self.guest = guest
        self.folder = folder

    @abstractmethod
    def machine(
        self, memory: int, kernel: Path | None = None, memory_folder: Path | None = None
    ) -> AbstractContextManager[Machine]:
        """A machine with so many MiB, and the guest's uncompressed kernel or another; gone at the context's end. With a
        folder the memory is on the disk that a saved state is to be on, for a subject that hands it over."""

    @abstractmethod
    def start_all(self, machines: list[Machine]) -> None:
        """Starts them at once, and returns when all run."""

    def unconfined_machine(self, memory: int) -> AbstractContextManager[Machine] | None:
        """The same machine with nothing to keep it from the rest of the host, of a subject that has such means."""
        return None

    def failing_call(self) -> Callable[[], object] | None:
        """Something that raises an error of the subject's own."""
        return None
