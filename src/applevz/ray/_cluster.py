# SPDX-License-Identifier: Apache-2.0
"""What is of Ray: its nodes, its actors, its object store. All else is plain, and is tried without it.

Ray is imported when this is used, and never with the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, cast

from ..errors import InvalidStateError, NotSupportedError, make
from ._actors import MachineActor, NodeActor
from ._contents import Content, pieces_of
from ._node import Ready
from ._orders import Given, Order
from ._outcomes import result_of
from ._scheduling import NodeLostError, RemoteNode
from ._sources import Source

__all__ = [
    "RESOURCE", "MachineNode", "ObjectStore", "RayNodes", "connected_ray", "dumps", "nodes_with_the_resource",
    "published",
]  # fmt: skip

# What a node has of it says how many machines it may have.
RESOURCE: Final = "applevz"
# The threads of an actor beside those that wait for machines and their calls.
_MORE_THREADS: Final = 8
# So many pieces of a file are on their way at once.
_AHEAD: Final = 4


def connected_ray() -> Any:
    """The module `ray`, of a process that is connected to a cluster."""
    try:
        import ray
    except ImportError as error:
        raise make(
            NotSupportedError,
            "Machines on other hosts take the Python package ray.",
            f"{str(error).rstrip('.')}.",
            "Install it with the extra that needs it: pip install 'applevz[ray]'.",
        ) from None
    if not ray.is_initialized():
        raise make(
            InvalidStateError,
            "This process is not connected to a cluster of Ray.",
            "",
            "Call ray.init(address=…) before. It is not called here: whoever connects decides to which cluster.",
        )
    return ray


def dumps(value: Any) -> bytes:
    """Pickles what a node is to have: functions of a program by value, those of installed packages by name."""
    from ray import cloudpickle

    data: bytes = cloudpickle.dumps(value)
    return data


class ObjectStore:
    """Gives files out by Ray's object store: each piece is an object, which nodes have from each other."""

    def __init__(self) -> None:
        self._pieces: dict[Content, list[tuple[int, Any]]] = {}

    def publish(self, content: Content, path: bytes) -> None:
        ray = connected_ray()
        if content not in self._pieces:
            self._pieces[content] = [(position, ray.put(data)) for position, data in pieces_of(path)]

    def pieces(self, content: Content) -> Iterator[tuple[int, bytes]]:
        import ray

        places = self._pieces[content]
        for number, (position, reference) in enumerate(places):
            ahead = [reference for _, reference in places[number : number + _AHEAD]]
            ray.wait(ahead, num_returns=1, timeout=0, fetch_local=True)
            yield position, ray.get(reference)


def published(given: Iterable[Given], source: Source) -> Source:
    """Has the files given out."""
    for one in given:
        source.publish(one.content, one.path)
    return source


class RayNodes:
    """The nodes that have the resource, each with an actor of its own for one executor."""

    def __init__(self, order: Order, source: Source, spares: int, machines_per_node: int | None) -> None:
        ray = connected_ray()
        # Each node gets them from the object store.
        self._order = ray.put(order), ray.put(source)
        self._source = source  # its objects are there as long as their references here
        self._spares = spares
        self._most = machines_per_node

    def look(self, known: Iterable[str]) -> tuple[list[RemoteNode], set[str]]:
        ray = connected_ray()
        known = set(known)
        try:
            there = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        except ray.exceptions.RayError:
            return [], set()  # whoever keeps the list may be busy, or begin anew: it is asked again soon
        found = [self._node(one) for key, one in there.items() if key not in known and machines_of(one) >= 1]
        return found, known - set(there)

    def _node(self, node: dict[str, Any]) -> RemoteNode:
        most = machines_of(node) if self._most is None else min(machines_of(node), self._most)
        return RayNode(node, most, (*self._order, self._spares, most, None))


def nodes_with_the_resource() -> dict[str, str]:
    """The nodes that machines may be on: their names, by their identifiers."""
    return {
        node["NodeID"]: name_of(node)
        for node in connected_ray().nodes()
        if node["Alive"] and machines_of(node) >= 1
    }


def name_of(node: dict[str, Any]) -> str:
    """What an error calls a node."""
    return f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"


def machines_of(node: dict[str, Any]) -> int:
    """How many machines a node of Ray's may have."""
    return math.floor(float(node["Resources"].get(RESOURCE, 0.0)))


def actor_on(kind: type, identifier: str, machines: int) -> Any:
    """An actor on a node, which has so much of the resource as long as it lives."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return _actor(kind, machines, scheduling_strategy=NodeAffinitySchedulingStrategy(identifier, soft=False))


def _actor(kind: type, machines: int, **place: Any) -> Any:
    import ray

    options = {"num_cpus": 0, "resources": {RESOURCE: machines}, "max_concurrency": machines + _MORE_THREADS, **place}
    # Nothing is run a second time by Ray.
    return ray.remote(kind).options(max_restarts=0, max_task_retries=0, **options).remote()


def future_of(reference: Any, read: Callable[[Any], Any]) -> Future[Any]:
    """What an actor's method comes to. No method raises: an exception of Ray's says that the actor is gone."""
    future: Future[Any] = Future()

    def done(answer: Future[Any]) -> None:
        error = answer.exception()
        if error is not None:
            future.set_exception(NodeLostError(_first_line(error)))
            return
        try:
            value = read(answer.result())
        except BaseException as raised:  # noqa: BLE001  # what the node says
            future.set_exception(raised)
        else:
            future.set_result(value)

    reference.future().add_done_callback(done)
    return future


def _first_line(error: BaseException) -> str:
    """Ray's messages go on for many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:500] or type(error).__name__


class RayNode:
    """A node of a cluster, and the actor there."""

    def __init__(self, node: dict[str, Any], machines: int, order: tuple[Any, ...]) -> None:
        self.identifier: str = node["NodeID"]
        self.name = name_of(node)
        self._machines = machines
        self._order = order
        self._actor: Any = None

    def prepare(self) -> Future[Ready]:
        self._actor = actor_on(NodeActor, self.identifier, self._machines)
        return cast("Future[Ready]", future_of(self._actor.prepare.remote(*self._order), result_of))

    def take(self) -> Future[int]:
        return future_of(self._actor.take.remote(), result_of)

    def call(self, ticket: int, call: bytes) -> Future[bytes]:
        return future_of(self._actor.call.remote(ticket, call), lambda outcome: outcome)

    def give_back(self, ticket: int) -> None:
        self._actor.give_back.remote(ticket)

    def kill(self, ticket: int) -> Future[bool]:
        return future_of(self._actor.kill.remote(ticket), result_of)

    def end(self) -> None:
        import ray

        # Its machines end with its process. Where the cluster is gone, so is that.
        with suppress(Exception):
            ray.kill(self._actor)


class MachineNode:
    """An actor for one machine, on a node of Ray's choice that is none of `but`. It waits there until one has room."""

    def __init__(self, but: Iterable[str]) -> None:
        connected_ray()
        excluded = ", ".join(but)
        place = {"label_selector": {"ray.io/node-id": f"!in({excluded})"}} if excluded else {}
        self._actor = _actor(MachineActor, 1, scheduling_strategy="SPREAD", **place)

    def where(self) -> Future[str]:
        """The identifier of its node, once it is on one."""
        return future_of(self._actor.where.remote(), lambda identifier: identifier)

    def ask(self, name: str, *arguments: Any) -> Future[Any]:
        """Has a method of the `MachineServer` called."""
        return future_of(self._actor.ask.remote(name, arguments), result_of)

    def end(self) -> None:
        """Ends its process, and with that the machine."""
        import ray

        with suppress(Exception):
            ray.kill(self._actor)
