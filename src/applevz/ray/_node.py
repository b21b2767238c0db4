# SPDX-License-Identifier: Apache-2.0
"""What a node does for an executor elsewhere: it has a pool, and calls functions in its machines.

A call comes in two steps. `take` waits until a machine runs that nobody had before, and returns its ticket. `call` has
a function called with that machine. So whoever sends a call knows which calls a node has been given: what was not sent
to a machine that ran has not begun. The machine waits between the two steps, for the moment that they are apart.

Nothing of Ray is here. Any thread may call, and most calls wait.
"""

from __future__ import annotations

import pickle
import queue
import threading
from dataclasses import dataclass
from typing import Any

from .._blocking.executor import MachineExecutor, MachineFuture
from .._blocking.machine import VirtualMachine
from .._blocking.pool import Pool
from ..errors import InvalidStateError, make
from ._hosts import Host, describe_host, machines_by_memory
from ._orders import Order, Present, present_on_this_host
from ._outcomes import Dumps, outcome_of
from ._sources import Source

__all__ = ["Node", "Ready"]


@dataclass(frozen=True)
class Ready:
    """What a node says when it has a pool."""

    host: Host
    machines: int
    """How many machines it has at once."""


class _Turn:
    """The function that has a machine: it waits for the call, and makes it."""

    def __init__(self, dumps: Dumps) -> None:
        self._dumps = dumps
        self._calls: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.is_ready = threading.Event()
        self.future: MachineFuture[bytes | None]

    def __call__(self, machine: VirtualMachine) -> bytes | None:
        self.is_ready.set()
        call = self._calls.get()
        if call is None:
            return None

        def made() -> Any:
            function, arguments, keywords = pickle.loads(call)  # noqa: S301  # of whoever may run code here
            return function(machine, *arguments, **keywords)

        return outcome_of(made, self._dumps)

    def begin(self, call: bytes | None) -> None:
        """Has the call made; with None the machine is given back."""
        self._calls.put(call)


class Node:
    """A pool that is used from elsewhere."""

    def __init__(self, dumps: Dumps = pickle.dumps) -> None:
        """`dumps` pickles what a call returns, for whoever made it."""
        self._dumps = dumps
        self._lock = threading.Lock()
        self._present: Present | None = None
        self._pool: Pool | None = None
        self._executor: MachineExecutor | None = None
        self._turns: dict[int, _Turn] = {}
        self._last = 0
        self._is_closed = False

    def prepare(self, order: Order, source: Source, spares: int, most: int, timeout: float | None = None) -> Ready:
        """Gets what the machines take, and begins to make them: `most` at once, or as many as the memory is for.

        Raises the errors of `present_on_this_host` and of `Pool`.
        """
        host = describe_host()
        present = present_on_this_host(order, source, timeout)
        try:
            most = min(most, machines_by_memory(host.memory, present.memory_size))
            assert present.state is not None  # noqa: S101  # a pool's order has one
            pool = Pool(present.configuration, present.state, spares=spares, maximum=most)
        except BaseException:
            present.release()
            raise
        with self._lock:
            if not self._is_closed:
                self._present, self._pool, self._executor = present, pool, MachineExecutor(pool, most)
                pool.__enter__()
                return Ready(host, most)
        present.release()
        raise make(InvalidStateError, "The node was closed.")

    def take(self) -> int:
        """Waits for a machine that runs, and returns its ticket. Raises the errors of `Pool.machine`."""
        with self._lock:
            if self._executor is None:
                raise make(InvalidStateError, "The node has no pool, or was closed.")
            self._last += 1
            ticket = self._last
            turn = self._turns[ticket] = _Turn(self._dumps)
            turn.future = self._executor.submit(turn)
        # Also woken if there is no machine.
        turn.future.add_done_callback(lambda _: turn.is_ready.set())
        turn.is_ready.wait()
        if turn.future.done():
            self._turns.pop(ticket, None)
            turn.future.result()
            raise make(InvalidStateError, "The node was closed.")
        return ticket

    def call(self, ticket: int, call: bytes) -> bytes:
        """Makes a pickled call in the machine of a ticket: a function, its arguments and its keywords.

        Returns the outcome, as of `outcome_of`, when the machine is gone. Raises the errors of ending it.
        """
        turn = self._turn(ticket)
        turn.begin(call)
        try:
            outcome = turn.future.result()
        finally:
            self._turns.pop(ticket, None)
        assert outcome is not None  # noqa: S101  # that of a machine that was given back
        return outcome

    def give_back(self, ticket: int) -> None:
        """Ends the machine of a ticket for which there is no call."""
        turn = self._turns.pop(ticket, None)
        if turn is not None:
            turn.begin(None)

    def kill(self, ticket: int) -> bool:
        """Ends the machine of a ticket in the middle of its call. Returns False if that is over."""
        turn = self._turns.get(ticket)
        return turn is not None and turn.future.kill()

    def _turn(self, ticket: int) -> _Turn:
        try:
            return self._turns[ticket]
        except KeyError:
            raise make(InvalidStateError, f"There is no machine with the ticket {ticket}.") from None

    def close(self) -> None:
        """Ends all machines, and lets go of the files. Calling it again does nothing."""
        with self._lock:
            self._is_closed = True
            pool, executor, present = self._pool, self._executor, self._present
            self._pool = self._executor = self._present = None
            turns = list(self._turns.values())
        for turn in turns:
            turn.begin(None)
        if pool is not None:
            pool.close()
        if executor is not None:
            executor.shutdown(cancel_futures=True)
        if present is not None:
            present.release()
