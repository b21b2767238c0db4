# SPDX-License-Identifier: Apache-2.0
"""Which call goes to which node, and what becomes of it when a node dies. Nothing of Ray is here.

    waiting     calls that no node has: they are in this process, and bounded
    a take      a node was asked for a machine. There are as many of them as calls wait, and as a node has room for.
    a ticket    a machine runs on a node, and waits for the next call
    under way   a call was sent to a machine

Calls are not laid out beforehand: a machine that runs takes the call that waits for longest. So a node that is slower
has fewer, and what is asked of a node that dies is asked of another. Where several nodes have room, the one is asked
that has the smallest part of its machines in use.

A call is marked as begun before it is sent. It may have run from then on: nobody can tell that it did not, when its
node is gone. It fails with `MachineLostError`, unless whoever made the executor allowed that it runs again. A call that
waits has never run, wherever machines were on their way for it.

One thread does all this, from what comes in a queue. It is there while there are calls that are not done.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ..errors import Error, InvalidStateError, MachineLostError, NoNodeError, make
from ._hosts import refusal_words
from ._node import Ready
from ._outcomes import result_of

__all__ = ["Call", "NodeLostError", "Nodes", "RayFuture", "RemoteNode", "Scheduler"]

# How often it is looked whether there are other nodes, in seconds.
_LOOK: Final = 2.0
# So often in turn a node may fail to have a machine, or its process may die, before it is not asked any more.
_FAILURES: Final = 3
# So many nodes may stand in the row of those that have room beside those that are there.
_OUT_OF_DATE: Final = 1000


class NodeLostError(Exception):
    """A node, or its process, is gone: what was asked of it is not answered any more. The argument says how."""


class RemoteNode(Protocol):
    """A node that was found, and is asked from here. A future comes to `NodeLostError` if it is gone."""

    @property
    def identifier(self) -> str:
        """By which it is known. A node that comes back has another one."""

    @property
    def name(self) -> str:
        """What an error calls it."""

    def prepare(self) -> Future[Ready]:
        """Has it make its pool."""

    def take(self) -> Future[int]:
        """Has it make a machine. Comes to the machine's ticket, or to the error of making one."""

    def call(self, ticket: int, call: bytes) -> Future[bytes]:
        """Has it make a call, and comes to the outcome."""

    def give_back(self, ticket: int) -> None:
        """It need not have a machine any more."""

    def kill(self, ticket: int) -> Future[bool]:
        """Has it end a machine."""

    def end(self) -> None:
        """Has it end all that it has. Does not wait."""


class Nodes(Protocol):
    """The nodes that there are."""

    def look(self, known: Iterable[str]) -> tuple[list[RemoteNode], set[str]]:
        """The nodes that are not known, and which of those that are known are gone."""


class RayFuture(Future[Any]):
    """What a call of a `RayExecutor` comes to: a `concurrent.futures.Future` whose machine can be ended.

    It is running from the moment when the call was sent to its machine, and done when that machine has ended. It can be
    cancelled until it is running.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._place: tuple[RemoteNode, int] | None = None
        self._is_killed = False

    @property
    def node(self) -> str | None:
        """The node that the call is under way on: its address, and the beginning of its identifier. None otherwise."""
        place = self._place
        return None if place is None else place[0].name

    def cancel(self) -> bool:
        """Cancels the call, if it has not begun. Returns whether it is cancelled. A call that is running goes on:
        `kill` ends that."""
        is_cancelled = super().cancel()
        if is_cancelled:
            self._scheduler.look_for_cancelled()
        return is_cancelled

    def kill(self) -> bool:
        """Cancels the call, or ends its machine if it is running. Returns False if it was over.

        A call that is running then gets the errors of a machine that stopped, as `GuestConnectionLostError`. What it
        makes of them is what the future comes to. Waits until the machine has stopped.
        """
        if self.cancel():
            return True
        if self.done():
            return False
        self._is_killed = True  # also for one that is to be made again
        place = self._place
        if place is None:
            return True
        node, ticket = place
        try:
            return node.kill(ticket).result()
        except NodeLostError:
            return False  # the future comes to that by itself


@dataclass
class Call:
    """One call."""

    future: RayFuture
    data: bytes
    """The function, its arguments and its keywords, pickled."""
    retries: int
    """How often it may be made again after its machine was lost."""
    is_begun: bool = False
    lost: Error | None = None
    """How it was lost, for one that is made again."""


@dataclass(eq=False)
class _Node:
    """What is known of a node."""

    remote: RemoteNode
    machines: int = 0
    """How many it has at once; 0 until it is prepared."""
    taking: int = 0
    tickets: deque[int] = field(default_factory=deque)
    running: dict[int, Call] = field(default_factory=dict)
    failures: int = 0
    is_gone: bool = False

    @property
    def used(self) -> int:
        return self.taking + len(self.tickets) + len(self.running)

    @property
    def load(self) -> float:
        return self.used / self.machines if self.machines else 1.0


class Scheduler:
    """The calls of one executor."""

    def __init__(self, nodes: Nodes, most_waiting: int, patience: float) -> None:
        """`most_waiting` calls wait at most: who adds one then waits. Without any node calls wait for `patience`."""
        self._nodes = nodes
        self._most_waiting = most_waiting
        self._patience = patience
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Condition()
        self._thread = ThreadPoolExecutor(1, "RayExecutor")
        self._is_running = False
        self._is_shut_down = False
        self._unfinished = 0
        # Only in the thread, but for their lengths.
        self._waiting: deque[Call] = deque()
        self._known: dict[str, _Node] = {}
        self._refused: dict[str, tuple[str, str]] = {}
        self._deaths: dict[str, int] = {}
        self._free: list[tuple[float, int, _Node]] = []
        self._numbers = itertools.count()
        self._with_tickets: dict[_Node, None] = {}
        self._taking = 0
        self._has_cancelled = False
        self._was_ready = False
        self._next_look = 0.0
        self._none_since: float | None = None
        self._worker: int | None = None

    # ---- From any thread ----

    def add(self, data: bytes, retries: int) -> RayFuture:
        """Adds a call. Waits while as many wait as may. Raises `InvalidStateError` after `shut_down`."""
        future = RayFuture(self)
        with self._lock:
            # A future's callback is called in the thread that takes the waiting calls away.
            while len(self._waiting) >= self._most_waiting and threading.get_ident() != self._worker:
                if self._is_shut_down:
                    break
                self._lock.wait()
            if self._is_shut_down:
                raise make(InvalidStateError, "The executor was shut down.")
            self._unfinished += 1
            self._waiting.append(Call(future, data, retries))
            self._begin()
        self._events.put(lambda: None)
        return future

    def _begin(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._thread.submit(self._run)

    def look_for_cancelled(self) -> None:
        """Has the thread take the calls away that were cancelled."""

        def look() -> None:
            self._has_cancelled = True

        self._events.put(look)

    def find_nodes(self) -> None:
        """Begins to make the pools of the nodes that there are. Called before there is a call."""
        with self._lock:
            if not self._is_running:
                self._find_nodes()

    def shut_down(self, wait: bool, cancel: bool) -> None:
        """Takes no more calls. With `wait` until all are done. With `cancel` what has not begun is cancelled."""
        with self._lock:
            self._is_shut_down = True
            self._lock.notify_all()
            waiting = list(self._waiting) if cancel else []
        for call in waiting:
            call.future.cancel()
        self._begun_end()
        self._thread.shutdown(wait)

    def _begun_end(self) -> None:
        """The thread ends the nodes when no call is left. If there is none, that is now."""
        with self._lock:
            if self._is_running:
                self._events.put(lambda: None)
                return
            self._is_running = True
        self._end_nodes()

    def _end_nodes(self) -> None:
        for node in self._known.values():
            node.is_gone = True
            node.remote.end()
        self._known.clear()

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many calls wait, how many are under way, and how many machines there may be."""
        nodes = list(self._known.values())
        return len(self._waiting), sum(len(node.running) for node in nodes), sum(node.machines for node in nodes)

    @property
    def refused(self) -> dict[str, str]:
        """The nodes that cannot have a pool, by their names, with the reason of each."""
        return dict(self._refused.values())

    # ---- In its thread ----

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  # nobody else would tell those who wait
            self._abandon(error)

    def _abandon(self, error: BaseException) -> None:
        """Nothing can be done any more. All calls get the error that says why."""
        with self._lock:
            self._is_shut_down = True
            self._worker = None
            calls = [*self._waiting, *(call for node in self._known.values() for call in node.running.values())]
            self._waiting.clear()
            self._lock.notify_all()
        for call in calls:
            if call.is_begun or call.future.set_running_or_notify_cancel():
                call.future.set_exception(error)

    def _work(self) -> None:
        self._worker = threading.get_ident()
        while True:
            self._step()
            with self._lock:
                if self._unfinished == 0:
                    self._worker = None
                    if self._is_shut_down:
                        break  # and stays running: nobody begins it again
                    self._is_running = False
                    return
            self._take_events()
        self._end_nodes()

    def _take_events(self) -> None:
        """Waits for one, and takes all that are there."""
        with suppress(queue.Empty):
            event = self._events.get(timeout=max(0.0, self._next_look - time.monotonic()))
            while True:
                event()
                event = self._events.get_nowait()

    def _step(self) -> None:
        if time.monotonic() >= self._next_look:
            self._find_nodes()
        self._drop_cancelled()
        self._send()
        self._ask()
        self._fail_without_nodes()

    def _when_done(self, future: Future[Any], then: Callable[[Future[Any]], None]) -> None:
        future.add_done_callback(lambda done: self._events.put(lambda: then(done)))

    # ---- Nodes ----

    def _find_nodes(self) -> None:
        self._next_look = time.monotonic() + _LOOK
        found, gone = self._nodes.look([*self._known, *self._refused])
        for identifier in gone:
            self._refused.pop(identifier, None)
            node = self._known.get(identifier)
            if node is not None:
                self._lose(node, "The cluster does not have it any more.", dead=True)
        for remote in found:
            self._prepare(remote)

    def _prepare(self, remote: RemoteNode) -> None:
        node = self._known[remote.identifier] = _Node(remote)
        self._when_done(remote.prepare(), lambda done: self._prepared(node, done))

    def _prepared(self, node: _Node, done: Future[Ready]) -> None:
        if node.is_gone:
            return
        try:
            node.machines = done.result().machines
            self._was_ready = True
        except NodeLostError as error:
            self._lose(node, str(error))
        except Exception as error:  # noqa: BLE001  # each is a reason not to choose the node
            self._refuse(node, refusal_words(error))
        else:
            self._offer(node)

    def _refuse(self, node: _Node, reason: str) -> None:
        """It is not asked any more. What it has under way it may end."""
        self._refused[node.remote.identifier] = node.remote.name, reason
        node.machines = 0
        if not node.running:
            self._forget(node)

    def _forget(self, node: _Node) -> None:
        node.is_gone = True
        self._known.pop(node.remote.identifier, None)
        self._with_tickets.pop(node, None)
        self._taking -= node.taking
        node.taking = 0
        node.remote.end()

    def _lose(self, node: _Node, reason: str, dead: bool = False) -> None:
        """A node is gone, or its process, which begins anew if the node is still there."""
        if node.is_gone:
            return
        identifier, name = node.remote.identifier, node.remote.name
        self._forget(node)
        self._deaths[identifier] = self._deaths.get(identifier, 0) + 1
        if not dead and self._deaths[identifier] >= _FAILURES:
            self._refused[identifier] = name, f"Its process died {_FAILURES} times. {reason}"
        lost, node.running = list(node.running.values()), {}
        for call in reversed(lost):
            call.lost = make(
                MachineLostError,
                f"The machine of the call was lost with the node {name!r}.",
                f"{reason.rstrip('.')}. What was under way may have run, in part or as a whole.",
                "Make the call again if it may run twice; `retry` of RayExecutor does that by itself.",
            )
            if call.retries > 0:
                call.retries -= 1
                call.future._place = None
                self._waiting.appendleft(call)
            else:
                self._finish(call, error=call.lost)

    def _fail_without_nodes(self) -> None:
        """Calls that no node takes are not kept for ever."""
        if self._known or not self._waiting:
            self._none_since = None
            return
        now = time.monotonic()
        if self._none_since is None:
            self._none_since = now
        # Those that refuse do not change their minds. Others may come, for those that were there before.
        patience = self._patience if self._was_ready or not self._refused else 0.0
        if now - self._none_since >= patience:
            error = no_node(self.refused)
            while self._waiting:
                call = self._waiting.popleft()
                if call.is_begun or call.future.set_running_or_notify_cancel():
                    self._finish(call, error=error)
                else:
                    self._count_out()

    # ---- Calls ----

    def _drop_cancelled(self) -> None:
        if self._has_cancelled:
            self._has_cancelled = False
            kept = [call for call in self._waiting if not self._is_dropped(call)]
            with self._lock:
                self._waiting.clear()
                self._waiting.extend(kept)
                self._lock.notify_all()

    def _is_dropped(self, call: Call) -> bool:
        if not call.future.cancelled():
            return False
        # Who waits for it by `concurrent.futures.wait` is told.
        call.future.set_running_or_notify_cancel()
        self._count_out()
        return True

    def _send(self) -> None:
        """Each machine that waits for a call gets the one that waits for longest."""
        while self._with_tickets:
            node = next(iter(self._with_tickets))
            while node.tickets and (call := self._next()) is not None:
                self._send_to(node, call)
            while node.tickets:
                node.remote.give_back(node.tickets.popleft())
            self._with_tickets.pop(node)
            self._offer(node)

    def _next(self) -> Call | None:
        """The call that waits for longest, marked as begun."""
        while self._waiting:
            with self._lock:
                call = self._waiting.popleft()
                self._lock.notify()
            if call.is_begun and call.future._is_killed:
                self._finish(call, error=call.lost)
            elif call.is_begun or call.future.set_running_or_notify_cancel():
                call.is_begun = True
                return call
            else:
                self._count_out()
        return None

    def _send_to(self, node: _Node, call: Call) -> None:
        ticket = node.tickets.popleft()
        node.running[ticket] = call
        call.future._place = node.remote, ticket
        done = node.remote.call(ticket, call.data)
        self._when_done(done, lambda done: self._called(node, ticket, done))

    def _ask(self) -> None:
        """Asks for as many machines as calls wait."""
        while len(self._waiting) > self._taking and (node := self._least_busy()) is not None:
            self._ask_of(node)

    def _ask_of(self, node: _Node) -> None:
        node.taking += 1
        self._taking += 1
        self._offer(node)
        self._when_done(node.remote.take(), lambda done: self._taken(node, done))

    def _offer(self, node: _Node) -> None:
        """Its load is another one. What is in the heap of it by then is out of date."""
        if not node.is_gone and node.used < node.machines:
            heapq.heappush(self._free, (node.load, next(self._numbers), node))
            if len(self._free) > _OUT_OF_DATE + 4 * len(self._known):
                self._free = [(one.load, next(self._numbers), one) for one in self._known.values()]
                heapq.heapify(self._free)

    def _least_busy(self) -> _Node | None:
        while self._free:
            load, _, node = heapq.heappop(self._free)
            if not node.is_gone and node.load == load and node.used < node.machines:
                return node
        return None

    def _taken(self, node: _Node, done: Future[int]) -> None:
        if node.is_gone:
            return
        try:
            node.tickets.append(done.result())
            self._with_tickets[node] = None
        except NodeLostError as error:
            self._lose(node, str(error))
        except Exception as error:  # noqa: BLE001  # no call had the machine: the node is to blame
            self._took(node)
            node.failures += 1
            if node.failures >= _FAILURES:
                self._refuse(node, refusal_words(error))
            else:
                self._offer(node)
        else:
            self._took(node)
            node.failures = 0

    def _took(self, node: _Node) -> None:
        node.taking -= 1
        self._taking -= 1

    def _called(self, node: _Node, ticket: int, done: Future[bytes]) -> None:
        call = node.running.get(ticket)
        if call is None:
            return  # it was lost with its node
        try:
            outcome = done.result()
        except NodeLostError as error:
            self._lose(node, str(error))
            return
        except Error as error:
            del node.running[ticket]
            self._finish(call, error=error)
        else:
            del node.running[ticket]
            self._deaths.pop(node.remote.identifier, None)
            try:
                value = result_of(outcome)
            except BaseException as error:  # noqa: BLE001  # it is the caller's
                self._finish(call, error=error)
            else:
                self._finish(call, value)
        if not node.machines and not node.running:
            self._forget(node)
        self._offer(node)

    def _finish(self, call: Call, value: Any = None, error: BaseException | None = None) -> None:
        call.future._place = None
        if error is not None:
            call.future.set_exception(error)
        else:
            call.future.set_result(value)
        self._count_out()

    def _count_out(self) -> None:
        with self._lock:
            self._unfinished -= 1
            self._lock.notify_all()


def no_node(refused: dict[str, str]) -> Error:
    """The error for what never ran, since no node takes it."""
    reasons = [f"{name}: {reason}" for name, reason in sorted(refused.items())]
    return make(
        NoNodeError,
        "No node of the cluster has a machine for the call, which has not begun.",
        " ".join(reasons) if reasons else "There is no node that has the resource applevz.",
        "Start Ray with that resource where machines can run: `python -m applevz.ray resources` tells how many.",
    )
