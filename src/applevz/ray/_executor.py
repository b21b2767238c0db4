# SPDX-License-Identifier: Apache-2.0
"""Calls in the manner of `concurrent.futures`, each in a fresh machine on some node of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .._blocking.executor import CommandExecutor
from .._core.pool import machine_count
from .._values.arguments import PathLike, boolean, integer, seconds, wrong_type
from .._values.arguments import path as path_argument
from .._values.sizes import Size
from .._values.sizes import size as size_argument
from ._cluster import ObjectStore, RayNodes, connected_ray, dumps, published
from ._orders import Configuration, order_for
from ._scheduling import RayFuture, Scheduler
from ._sources import Source, source_argument

if TYPE_CHECKING:
    from typing import Concatenate, ParamSpec

    from .._blocking.machine import VirtualMachine

    Parameters = ParamSpec("Parameters")

__all__ = ["RayExecutor", "RayStatistics"]

_FOR_EVER: Final = 1e9


@dataclass(frozen=True)
class RayStatistics:
    """What an executor has at this moment."""

    waiting: int
    """The calls that no node has yet."""
    running: int
    """The calls that are under way."""
    machines: int
    """How many machines there may be at once, on all nodes that are ready."""
    refused: dict[str, str]
    """The nodes that were not chosen, each with the reason."""


class RayExecutor(CommandExecutor[RayFuture]):
    """Calls functions and runs commands, each in a fresh machine on a node of Ray's: as `MachineExecutor` does here.

        ray.init(address="auto")
        with RayExecutor(configuration, "ready.state") as executor:
            future = executor.run(["uname", "-a"], text=True, timeout=60)
            print(future.result().stdout)

    Each node that has the resource `applevz` gets a pool, in an actor. What a node has of the resource is how many
    machines it may have at once; `machines_per_node` and the node's free memory allow fewer. The resource is taken as
    long as the executor is there: another one waits for it. Of each pool `spares` machines are ready before they are
    asked for.

    `configuration` is that of the machine that was saved to the file `state`, or a function that makes one for each
    machine, on its node. The state, and the files that the configuration names, reach each node once, known by their
    SHA-256, and are checked there: by Ray's object store, or by `files`, a folder or an object store that all nodes
    reach, as `"s3://bucket/states"`. They stay in the folder `cache` of each node, None for its user's cache, up to
    `cache_size` of them: `applevz.ray.contents`.

    A node that cannot restore the state is not chosen: `statistics` says why. By KVM that takes the same processor as
    the one here, of which the state says nothing itself; `any_processor` allows any.

    A call that is under way when its node dies comes to `MachineLostError`: it may have run. With `retry` it is made
    again elsewhere, up to so many times. A call that has not begun is made elsewhere in any case. If there is no node
    for it within `node_timeout` seconds, None for no limit, it comes to `NoNodeError`, and never ran.

    Up to `max_pending` calls wait here for a machine. `submit` and `run` wait while there are so many.

    Any thread may use it. At the interpreter's exit all calls are waited for, as those of every executor are. Making it
    reads all files, and raises `InvalidArgumentError`, `RestoreError` for a file that is no state, `POSIXError`,
    `InvalidStateError` if this process is not connected to a cluster, and `NotSupportedError` without Ray.
    """

    def __init__(
        self,
        configuration: Configuration,
        state: PathLike,
        *,
        spares: int = 1,
        machines_per_node: int | None = None,
        retry: int = 0,
        files: PathLike | None = None,
        max_pending: int = 10_000,
        node_timeout: float | None = 60.0,
        cache: PathLike | None = None,
        cache_size: Size | None = None,
        any_processor: bool = False,
    ) -> None:
        machine_count("spares", spares, 0)
        if machines_per_node is not None:
            machine_count("machines_per_node", machines_per_node, 1)
        self._retry = integer("retry", retry)
        most = machine_count("max_pending", max_pending, 1)
        patience = seconds("node_timeout", node_timeout)
        source: Source = ObjectStore() if files is None else source_argument("files", files)
        room = None if cache_size is None else size_argument("cache_size", cache_size)
        folder = None if cache is None else os.fsdecode(path_argument("cache", cache))
        connected_ray()
        order, given = order_for(
            configuration, state, cache=folder, cache_size=room, any_processor=boolean("any_processor", any_processor)
        )
        nodes = RayNodes(order, published(given, source), spares, machines_per_node)
        self._scheduler = Scheduler(nodes, most, _FOR_EVER if patience is None else patience)
        self._scheduler.find_nodes()

    def statistics(self) -> RayStatistics:
        """What the executor has at this moment."""
        waiting, running, machines = self._scheduler.counts
        return RayStatistics(waiting, running, machines, self._scheduler.refused)

    def submit(  # type: ignore[override]  # the function has the machine as well
        self,
        fn: Callable[Concatenate[VirtualMachine, Parameters], Any],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> RayFuture:
        """Has `fn(machine, *args, **kwargs)` called in a fresh machine, on its node. Returns its future.

        All of it is pickled, and so is what the function returns or raises, which the future comes to. Waits while
        `max_pending` calls wait for a machine. Raises `InvalidStateError`, which is a `RuntimeError`, if the executor
        was shut down, and what pickling raises.
        """
        if not callable(fn):
            raise wrong_type("fn", fn, "a function of a machine")
        return self._scheduler.add(dumps((fn, args, kwargs)), self._retry)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls. With `wait` it waits until all that were submitted are done, and their machines gone.

        With `cancel_futures` those are cancelled that have not begun. Those that are running go on: `RayFuture.kill`
        ends one. The pools end with the last call. Calling it again is no error.
        """
        self._scheduler.shut_down(wait, cancel_futures)
