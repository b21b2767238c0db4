# SPDX-License-Identifier: Apache-2.0
"""Bytes between this process and a guest, and what happens meanwhile.

Each direction has a thread of its own, and so has the wait for the end. All that they have to say comes as a notice to
the main thread, which waits for nothing else; signals come to it in the same way. So no handler of a signal has to
call a guest that the interrupted thread is just calling.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Final

from .signals import SignalHandlers

__all__ = ["Attachment", "Notice"]

_CHUNK: Final = 65536
# The seconds after which a thread that was woken up has seen it.
_SOON: Final = 1.0


@dataclass(frozen=True)
class Notice:
    """What happened. `kind` is one of

    "signal"     a signal came; its number is the value
    "resized"    the terminal may have another size
    "detached"   the detach key was typed
    "output"     what the guest prints there has come to its end
    "broken"     nobody reads what the guest prints
    "ended"      what was waited for, with its value
    "failed"     a thread's call raised the value
    """

    kind: str
    value: Any = None


class Attachment:
    """As a context manager: threads that carry bytes, and signals that become notices, until the block ends."""

    def __init__(self, signals: Iterable[int]) -> None:
        self.notices: SimpleQueue[Notice] = SimpleQueue()
        self._signals = tuple(signals)
        self._handlers = SignalHandlers()
        self._wake_reading = self._wake_writing = -1
        self._input: threading.Thread | None = None
        self._is_over = False
        self.silent = threading.Event()
        """Set: what the guest prints is taken, and shown to nobody."""

    def __enter__(self) -> Attachment:
        self._wake_reading, self._wake_writing = os.pipe()
        try:
            self._handlers.set(dict.fromkeys(self._signals, self._signalled))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._handlers.put_back()
        # The reader of the input ends at once, and leaves what is typed from here on to the next program. If it waits
        # for a guest that takes nothing, it reads nothing either: it finds this when the guest is gone.
        self._is_over = True
        os.close(self._wake_writing)
        if self._input is not None:
            self._input.join(_SOON)
        if self._input is None or not self._input.is_alive():
            os.close(self._wake_reading)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        # This queue may be put to from a handler that interrupts a `get` or a `put`.
        self.notices.put(Notice("signal", number))

    def resized(self) -> None:
        self.notices.put(Notice("resized"))

    @staticmethod
    def _start(name: str, function: Callable[[], None]) -> threading.Thread:
        # A daemon: a call that never returns keeps no process from its end.
        thread = threading.Thread(target=function, name=name, daemon=True)
        thread.start()
        return thread

    # ---- What is carried ----

    def carry_input(
        self, descriptor: int, write: Callable[[bytes], object], end: Callable[[], object], key: bytes | None
    ) -> None:
        """Has `write` called with what is read, and `end` at its end. `key` detaches."""

        def carry() -> None:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.register(self._wake_reading, select.POLLIN)
            # How a call to the guest fails, whoever waits for its end is told.
            with suppress(Exception):
                while not self._is_over:
                    ready = {number for number, _ in poll.poll()}
                    if self._wake_reading in ready:
                        return
                    data = self._read(descriptor)
                    if data is None:
                        continue
                    if key is not None and key in data:
                        write(data.partition(key)[0])
                        self.notices.put(Notice("detached"))
                        return
                    if not data:
                        end()
                        return
                    write(data)

        self._input = self._start("input", carry)

    @staticmethod
    def _read(descriptor: int) -> bytes | None:
        """None where there is nothing now; no bytes at the end, which that of a terminal may be as well."""
        try:
            return os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def carry_output(self, read: Callable[[], bytes], descriptor: int) -> None:
        """Writes what `read` returns, until that is nothing."""

        def carry() -> None:
            try:
                while data := read():
                    if not self.silent.is_set():
                        _write(descriptor, data)
            except Exception as error:  # noqa: BLE001  # the main thread raises it
                # The builtin's own: an error of the guest's may be one as well.
                is_broken = type(error) is BrokenPipeError
                self.notices.put(Notice("broken") if is_broken else Notice("failed", error))
            self.notices.put(Notice("output"))

        self._start("output", carry)

    def wait_for(self, wait: Callable[[], object]) -> None:
        """Waits elsewhere, and tells of the end."""

        def waiting() -> None:
            try:
                value = wait()
            except Exception as error:  # noqa: BLE001  # the main thread raises it
                self.notices.put(Notice("failed", error))
            else:
                self.notices.put(Notice("ended", value))

        self._start("end", waiting)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while rest:
        # Somebody who has the same terminal or pipe open may have it block nobody.
        poll.poll()
        with suppress(BlockingIOError):
            rest = rest[os.write(descriptor, rest) :]
