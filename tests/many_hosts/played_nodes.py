# SPDX-License-Identifier: Apache-2.0
"""Nodes that are played in this process, for what lays calls over nodes."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

import applevz
from applevz.errors import make
from applevz.ray._hosts import describe_host
from applevz.ray._node import Ready
from applevz.ray._outcomes import outcome_of
from applevz.ray._scheduling import NodeLostError

__all__ = ["PlayedNode", "PlayedNodes"]


class PlayedNode:
    """A node whose machines are there at once, and whose calls wait until they are told to end."""

    def __init__(self, name: str, machines: int) -> None:
        self.identifier = self.name = name
        self.machines = machines
        self.at_once = True
        self.error_of_prepare: Exception | None = None
        self.error_of_take: Exception | None = None
        self.takes_wait = False
        self.waiting_takes: list[Future[int]] = []
        self.calls: dict[int, tuple[bytes, Future[bytes]]] = {}
        self.seen: list[bytes] = []
        self.taken = self.given_back = 0
        self.killed: list[int] = []
        self.most = 0
        self.ended = False
        self.dead = False

    def _future(self, value: Any = None, error: BaseException | None = None) -> Future[Any]:
        future: Future[Any] = Future()
        if self.dead:
            error = NodeLostError("It is dead.")
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
        return future

    def prepare(self) -> Future[Ready]:
        return self._future(Ready(describe_host(), self.machines), self.error_of_prepare)

    def take(self) -> Future[int]:
        self.taken += 1
        if self.takes_wait and not self.dead:
            self.waiting_takes.append(Future())
            return self.waiting_takes[-1]
        return self._future(self.taken, self.error_of_take)

    def call(self, ticket: int, call: bytes) -> Future[bytes]:
        future: Future[bytes] = Future()
        self.seen.append(call)
        self.calls[ticket] = call, future
        self.most = max(self.most, len(self.calls))
        if self.dead:
            future.set_exception(NodeLostError("It is dead."))
        elif self.at_once:
            self.finish(ticket)
        return future

    def finish(self, ticket: int, outcome: bytes | None = None) -> None:
        call, future = self.calls.pop(ticket)
        future.set_result(outcome or outcome_of(lambda: (self.name, call.decode())))

    def finish_all(self) -> None:
        for ticket in list(self.calls):
            self.finish(ticket)

    def give_back(self, ticket: int) -> None:
        self.given_back += 1

    def kill(self, ticket: int) -> Future[bool]:
        self.killed.append(ticket)
        error = make(applevz.GuestConnectionLostError, "Killed.")

        def lost() -> None:
            raise error

        self.finish(ticket, outcome_of(lost))
        return self._future(True)

    def end(self) -> None:
        self.ended = True

    def die(self) -> None:
        self.dead = True
        for _, future in self.calls.values():
            future.set_exception(NodeLostError("Its power went."))
        for take in self.waiting_takes:
            take.set_exception(NodeLostError("Its power went."))
        self.calls.clear()
        self.waiting_takes.clear()


class PlayedNodes:
    def __init__(self, *nodes: PlayedNode) -> None:
        self.nodes = list(nodes)

    def look(self, known: Iterable[str]) -> tuple[list[Any], set[str]]:
        there = {node.identifier for node in self.nodes}
        return [node for node in self.nodes if node.identifier not in set(known)], set(known) - there
