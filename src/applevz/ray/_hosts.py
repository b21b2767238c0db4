# SPDX-License-Identifier: Apache-2.0
"""What a host is to machines that others send there: what it has, how many it carries, and whether a state fits."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .._host.capabilities import capabilities
from .._states.saved_state import SavedState
from ..errors import Error, NotSupportedError, RestoreError, make

__all__ = ["Host", "Requirements", "check_host", "describe_host", "machines_by_memory", "machines_by_processors"]

# What machines take that go on from states and are spoken to.
_CAPABILITIES: Final = ("virtualization", "save_restore", "guest_agent")
# The part of the free memory that machines may have, in percent: the rest is for their hypervisors and for the system.
_PERCENT: Final = 85
# The lines of /proc/cpuinfo by which a processor is another one to a guest that was saved.
_OF_THE_MODEL: Final = ("vendor_id", "cpu family", "model", "stepping", "CPU implementer", "CPU part", "CPU variant")
_FEATURES: Final = ("flags", "Features")


@dataclass(frozen=True)
class Host:
    """What a host has for machines."""

    name: str
    """Its name in its network."""
    version: str
    """The version of applevz there."""
    architecture: str
    """Of its processor, as `"x86_64"`."""
    processor: str
    """Which processor it is, with a checksum of its features."""
    processors: int
    """How many processors this process may use."""
    memory: int
    """The memory that is free, in bytes."""
    missing: tuple[tuple[str, str], ...]
    """The capabilities that it lacks and that are needed, each with the reason."""


@dataclass(frozen=True)
class Requirements:
    """What a host has to have for a program's machines."""

    version: str
    """The version of applevz that sends them."""
    architecture: str
    processor: str | None
    """The processor that the host needs to have; None if any will do."""
    state: SavedState | None
    """The state that the machines go on from."""


def describe_host() -> Host:
    """What this host has."""
    from .. import __version__  # the package imports this module's callers when they are asked for

    missing = []
    for name in _CAPABILITIES:
        capability = getattr(capabilities, name)
        if not capability:
            missing.append((name, capability.reason or ""))
    return Host(
        name=platform.node(),
        version=__version__,
        architecture=platform.machine(),
        processor=host_processor(),
        processors=_usable_processors(),
        memory=_free_memory(),
        missing=tuple(missing),
    )


def check_host(host: Host, needed: Requirements) -> None:
    """Raises what is wrong with a host, as far as that can be told without a file: the error names what differs.

    Whether the state fits its QEMU and the configuration is for `states.check_configuration` to say, there.
    """
    if host.missing:
        name, reason = host.missing[0]
        raise make(
            NotSupportedError, f"The host {host.name!r} has not the capability {name}.", reason, _another_host(needed)
        )
    for field, theirs, ours in (
        ("The version of applevz", host.version, needed.version),
        ("The processor's architecture", host.architecture, needed.architecture),
        ("The processor", host.processor, needed.processor),
    ):
        if ours is not None and theirs != ours:
            words = f"{field} is {theirs!r}; it has to be {ours!r}."
            raise make(RestoreError, f"The host {host.name!r} cannot take the machine.", words, _another_host(needed))


def _another_host(needed: Requirements) -> str:
    if needed.state is None:
        return "Give the resource applevz to hosts that have all that machines take."
    return "Give the resource applevz to hosts like the one on which the state was saved."


def host_processor() -> str:
    """Which processor this host has: two that are the same by this run what was saved on either, by KVM."""
    said: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").split("\n\n")[0].splitlines():
            name, _, value = line.partition(":")
            said[name.strip()] = value.strip()
    model = [said[name] for name in _OF_THE_MODEL if name in said] or [platform.processor() or "unknown"]
    features = " ".join(sorted({word for name in _FEATURES for word in said.get(name, "").split()}))
    return f"{' '.join(model)}, features {hashlib.sha256(features.encode()).hexdigest()[:12]}"


def _usable_processors() -> int:
    with contextlib.suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_memory() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text("ascii", "replace").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def machines_by_memory(free: int, memory_size: int) -> int:
    """How many machines of that memory a host carries that has so much: 1 at least, for it may be tried."""
    return max(1, free * _PERCENT // 100 // memory_size)


def machines_by_processors(processors: int) -> int:
    """How many machines a host is told to carry: each that computes keeps one processor busy."""
    return max(1, processors)


def resources() -> dict[str, float]:
    """What this host gives to a cluster, for `ray start --resources`: {} if it can run no machines.

    The resource `applevz` is how many machines it may have at once. It is the number of processors here, if all
    capabilities are there that machines from saved states take. Give another number if you know better.
    """
    host = describe_host()
    return {} if host.missing else {"applevz": float(machines_by_processors(host.processors))}


def refusal_words(error: BaseException) -> str:
    """What an error says, in one sentence or two."""
    if isinstance(error, Error):
        return error.failure_reason or error.localized_description
    return f"{type(error).__name__}: {error}"
