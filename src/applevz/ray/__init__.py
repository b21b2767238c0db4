# SPDX-License-Identifier: Apache-2.0
"""Machines on many hosts, by Ray: an executor whose calls each have a fresh machine on some node, and one such machine.

    import ray
    from applevz.ray import RayExecutor

    ray.init(address="auto")
    with RayExecutor(configuration, "ready.state") as executor:
        print(executor.run(["uname", "-a"], text=True, timeout=60).result().stdout)

It takes the extra `applevz[ray]`. Ray is imported when it is used. Whoever reaches a cluster of Ray runs code on all of
its nodes: docs/ray.md says how to set its token.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._values.arguments import PathLike
from ._contents import ContentStore, StoredContent
from ._executor import RayExecutor, RayStatistics
from ._hosts import resources as _resources
from ._remote_machine import RemoteInput, RemoteMachine, RemoteOutput, RemoteProcess, remote_machine
from ._scheduling import RayFuture

__all__ = [
    "RayExecutor", "RayFuture", "RayStatistics", "RemoteInput", "RemoteMachine", "RemoteOutput", "RemoteProcess",
    "StoredContent", "contents", "remote_machine", "remove_contents", "resources",
]  # fmt: skip


def resources() -> dict[str, float]:
    """What this host gives to a cluster, for `ray start --resources`; {} if no machine can run here.

    The resource `applevz` is how many machines it may have at once: the number of its processors. Give another number
    if you know better. `python -m applevz.ray resources` prints it as JSON.
    """
    return _resources()


def contents(cache: PathLike | None = None) -> Sequence[StoredContent]:
    """The states and images that this host keeps for machines of others, those first that were used last.

    `cache` is the folder of the cache, None for this user's. Raises `POSIXError`.
    """
    return ContentStore(cache).all()


def remove_contents(sha256: str | None = None, cache: PathLike | None = None) -> Sequence[StoredContent]:
    """Removes what this host keeps, or what has that checksum, but for what is in use. Returns what went.

    `cache` is the folder of the cache, None for this user's. Raises `POSIXError`.
    """
    return ContentStore(cache).remove(sha256)
