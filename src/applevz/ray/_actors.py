# SPDX-License-Identifier: Apache-2.0
"""The actors: what Ray makes a process of on a node. Each method returns an outcome, and raises nothing."""

from __future__ import annotations

from typing import Any

from ._machine_server import MachineServer
from ._node import Node
from ._orders import Order
from ._outcomes import failure, outcome_of
from ._sources import Source

__all__ = ["MachineActor", "NodeActor"]


def _dumps(value: Any) -> bytes:
    from ray import cloudpickle

    data: bytes = cloudpickle.dumps(value)
    return data


class NodeActor:
    """A `Node`, called from elsewhere. Its methods run in threads, as many at once as it was made with."""

    def __init__(self) -> None:
        self._node = Node(_dumps)

    def prepare(self, order: Order, source: Source, spares: int, most: int, timeout: float | None) -> bytes:
        return outcome_of(lambda: self._node.prepare(order, source, spares, most, timeout), _dumps)

    def take(self) -> bytes:
        return outcome_of(self._node.take)

    def call(self, ticket: int, call: bytes) -> bytes:
        try:
            return self._node.call(ticket, call)
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            return failure(error)

    def give_back(self, ticket: int) -> None:
        self._node.give_back(ticket)

    def kill(self, ticket: int) -> bytes:
        return outcome_of(lambda: self._node.kill(ticket))


class MachineActor:
    """A `MachineServer`, called from elsewhere. Its methods run in threads, as many at once as it was made with."""

    def __init__(self) -> None:
        self._server = MachineServer()

    def where(self) -> str:
        """The identifier of its node."""
        import ray

        found: str = ray.get_runtime_context().get_node_id()
        return found

    def ask(self, name: str, arguments: tuple[Any, ...]) -> bytes:
        """Calls a method of the server."""
        return outcome_of(lambda: getattr(self._server, name)(*arguments), _dumps)
