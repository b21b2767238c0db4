# SPDX-License-Identifier: Apache-2.0
"""A session with the guest's agent: its beginning, its streams, what waits to be sent. Nothing in here waits.

    IDLE ──begin──▶ BEGINNING ──nonce came back──▶ ANSWERED ──hello──▶ READY
      ▲                 │                             │                  │
      └─────────────────┴─── lose: machine ended, ◀───┴──────────────────┘
                             agent gone or broken

Neither side of the port is told that the other one went: a guest that was restored goes on in the middle of a frame.
So a session that is READY looks at what came before it begins a stream, and begins anew if its agent is no longer the
one that it spoke to. What was under way then is lost: nobody knows how it ended.

One thread at a time calls these methods, which a face sees to. A signal's handler may raise between any two steps: a
session that finds itself in the middle of a change (`_changing`) knows itself no more, and begins anew.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ..._native import Reference, ffi, lib
from ...errors import (
    Error,
    GuestNotAnsweringError,
    GuestUnreachableError,
    TimeoutError,
    check,
    exception_of,
    make,
)
from ..deadline import Deadline
from ..operation import DAY
from ..operation import begin as begin_operation
from ..panics import Panicked, PanicWatch, panicked
from ..states import ENDED, ENDED_BITS
from . import frames
from .failures import lost, not_supported
from .frames import BrokenFrameError, FrameReader, beginning, frame
from .streams import INPUT, Incoming, Stream, Subject, Waits

if TYPE_CHECKING:
    from .qemu_agent import QEMUAgent

__all__ = ["Life", "Session", "look", "lost", "started"]

_IDLE: Final = 0
_BEGINNING: Final = 1
_ANSWERED: Final = 2
_READY: Final = 3

_HELLO: Final = struct.Struct("<IIIII")
_TIME: Final = struct.Struct("<QI")
_ERRNO: Final = struct.Struct("<i")
_NUMBER: Final = struct.Struct("<I")
_EXIT: Final = struct.Struct("<BI")
_LARGEST_WINDOW: Final = 1 << 24
_MOST_TOLD: Final = 1 << 20
# What waits to be sent: whoever has much to send waits until it is less than that.
_ENOUGH: Final = 1 << 19
# So much is received before somebody looks whether that was what he waits for.
_AT_A_TIME: Final = 1 << 20
_BUFFERS: Final = 16
# Of random bytes, for the guest's kernel: as many as its generator has.
_ENTROPY: Final = 32
# QEMU's agent, which can less, is spoken to if no other answers so many seconds after it.
_GRACE: Final = 1.0


class Life:
    """The life of a machine from now until it ends, and in it that of the program which has the agent's port."""

    __slots__ = ("_closings", "_count", "_machine", "_operation")

    def __init__(self, machine: Reference) -> None:
        self._machine = machine
        self._operation = begin_operation(lib.applevz_machine_wait_for_state, machine, ENDED_BITS)
        self._count = ffi.new("uint64_t *")
        self._closings = self._closed()

    def _closed(self) -> int:
        check(lib.applevz_machine_last_device_closings(self._machine, self._count))
        return int(self._count[0])

    @property
    def ended(self) -> bool:
        """Whether the machine ended, also if it was started again."""
        return bool(lib.applevz_operation_wait(self._operation, 0.0) == lib.APPLEVZ_WAIT_COMPLETED)

    @property
    def closed(self) -> bool:
        """Whether the port was closed since the last look, as far as the platform tells."""
        before, self._closings = self._closings, self._closed()
        return self._closings != before


class Session:
    """The host's end of the agent's port, and all that is under way there."""

    def __init__(
        self,
        port: Reference,
        machine: Reference | None,
        watch: PanicWatch | None = None,
        qemu_agent: QEMUAgent | None = None,
    ) -> None:
        """`port` is the descriptor of a socket that does not block. Without a machine nothing ends but the port. QEMU's
        agent serves a guest that has no other."""
        self._port = port
        self._machine = machine
        self._watch = watch
        # How often a panic ended what was under way.
        self._panics = 0
        self._life: Life | None = None
        self._state = _IDLE
        self._nonce = b""
        self._reader = FrameReader()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._streams: dict[int, Stream] = {}
        self._last_stream = self._highest_stream = 0
        # Those that nobody refers to any more, each with what is still to be sent.
        self._abandoned: list[tuple[Stream, memoryview[int] | None]] = []
        self._changing = False
        # Why the session ends, until all that was under way is told.
        self._losing: str | None = None
        # Whether an agent came that may have missed the beginning.
        self._begins_again = False
        self._window = 0
        # Whether the guest was restored, and does not know it.
        self._is_elsewhere = False
        # Changes when the state does.
        self.greeting = Subject()
        self.qemu_agent = qemu_agent
        # When it was seen first that it answers; 0 while it does not.
        self._qemu_since = 0.0
        if qemu_agent is not None:
            qemu_agent.greeting = self.greeting
        # They change when there is room for more to send.
        self._short_of_room: set[Stream] = set()
        self._told = bytearray()
        # Those who asked for information, in order: each is told all at once.
        self._asked: deque[Callable[[bytes | None], None]] = deque()
        # Why the agent that answered cannot be spoken to, and why the last session ended.
        self._refusal: str | None = None
        self._end = ""
        self.agent_version = ""
        self.agent_process = 0
        # What the agent ended when this session began.
        self.processes_killed = 0
        self.streams_closed = 0

    # ---- The port ----

    @property
    def port(self) -> Reference:
        return self._port

    @property
    def machine(self) -> Reference | None:
        return self._machine

    @property
    def second_port(self) -> Reference | None:
        """The port of QEMU's agent, while that may be to be heard."""
        return None if self.qemu_agent is None or self.qemu_agent.is_idle else self.qemu_agent.port

    @property
    def is_ready(self) -> bool:
        return self._state == _READY

    @property
    def is_idle(self) -> bool:
        """Whether nothing was begun, so that nobody reads what comes."""
        return self._state == _IDLE

    @property
    def has_to_send(self) -> bool:
        return bool(self._queue)

    @property
    def has_room(self) -> bool:
        """Whether more should be given to be sent."""
        return self._queued < _ENOUGH

    def pump(self) -> None:
        """Receives what came, and sends what goes."""
        if self._losing is not None:
            self._end_all()
        if self._state == _IDLE:
            return
        if self._changing:
            self._changing = False
            self.lose("A signal's handler raised in the middle of what the host's side did.")
            return
        if (panic := self._panic()) is not None:
            self._panics += 1
            self.lose(panic)
            return
        if self._life is not None and self._life.ended:
            self.lose("The machine stopped.")
            return
        if self.qemu_agent is not None:
            self._pump_qemu_agent(self.qemu_agent)
        # An agent that is begun with may take the place of one that went.
        if self._life is not None and self._life.closed and self._state == _READY:
            self.lose("The agent went.")
            return
        self._changing = True
        words = self._send() or self._receive()
        self._changing = False
        if words is not None:
            self.lose(words)
            return
        if self._begins_again and not self._queue:
            self._send_beginning()
        self._end_abandoned()
        self.flush()

    def _pump_qemu_agent(self, agent: QEMUAgent) -> None:
        agent.pump()
        if self._state == _BEGINNING:
            # One that was not understood is spoken to anew.
            agent.begin()
        if self._state == _READY and not agent.is_asked and not agent.is_idle:
            # It is needed no more.
            agent.lose("")

    def _waits_for_this_one(self) -> float:
        """For how many seconds the guest's own agent is waited for, though that of QEMU answered."""
        if self.qemu_agent is None or not self.qemu_agent.is_ready:
            self._qemu_since = 0.0
            return DAY
        self._qemu_since = self._qemu_since or time.monotonic()
        return max(self._qemu_since + _GRACE - time.monotonic(), 0.0)

    def flush(self) -> None:
        """Sends what goes."""
        if not self._queue:
            return
        self._changing = True
        words = self._send()
        self._changing = False
        if words is not None:
            self.lose(words)

    def _send(self) -> str | None:
        """Why the session is over, if it is."""
        queue = self._queue
        was_full = not self.has_room
        with self._port as number:
            while queue:
                try:
                    sent = os.writev(number, [queue[place] for place in range(min(len(queue), _BUFFERS))])
                except BlockingIOError:
                    break
                except OSError as error:
                    if not error.errno:
                        raise  # by a signal's handler, and what was sent is not known
                    return f"The port was closed: {error.strerror}."
                self._queued -= sent
                while queue and sent >= len(queue[0]):
                    sent -= len(queue.popleft())
                if sent:
                    queue[0] = queue[0][sent:]
        if (was_full and self.has_room) or not queue:
            short, self._short_of_room = self._short_of_room, set()
            for stream in short:
                stream.changed()
        return None

    def _receive(self) -> str | None:
        """Why the session is over, if it is."""
        left = _AT_A_TIME
        with self._port as number:
            while left > 0:
                room = self._reader.room()
                try:
                    size = os.readv(number, [room])
                except BlockingIOError:
                    return None
                except OSError as error:
                    if not error.errno:
                        raise  # by a signal's handler, and what was received is not known
                    # The other end was closed with bytes in it.
                    size = 0
                    if error.errno != errno.ECONNRESET:
                        return f"The port cannot be read: {error.strerror}."
                if not size:
                    return "The port was closed."
                left -= size
                self._reader.received(size)
                try:
                    self._go_through()
                except BrokenFrameError:
                    if self._state == _ANSWERED and self._refusal is None:
                        self._refusal = "It does not keep to the protocol."
                    return "Another agent has come, or it does not keep to the protocol."
                if size < len(room):
                    return None
        return None

    def _go_through(self) -> None:
        if self._state == _BEGINNING:
            while (found := self._reader.find(self._nonce)) == frames.NO_NONCE:
                # If it did not miss the beginning it answers to both, and the later answer counts.
                self._begins_again = True
            if found is None:
                return
            self._begins_again = False
            self._state = _ANSWERED
        for operation, channel, number, payload in self._reader.frames():
            if self._state == _ANSWERED:
                self._hello(operation, payload)
            elif operation == frames.TOLD and not number:
                self._was_told(channel, payload)
            else:
                stream = self._streams.get(number)
                if stream is not None:
                    self._deliver(stream, operation, channel, payload)
                elif not 0 < number <= self._highest_stream:
                    # One that was closed may have had frames under way; what was never begun had none.
                    raise BrokenFrameError

    # ---- The beginning ----

    def ready(self, deadline: Deadline, *, by_any: bool = False) -> Waits[None]:
        """Until the agent answers, or with `by_any` until QEMU's has, and this one has not. Raises
        `GuestUnreachableError`, and `NotSupportedError` if QEMU's alone answers."""
        # If the agent went meanwhile, that is seen here, and nothing is lost that is not lost already: twice, since the
        # end of the port comes behind the last that was sent there.
        self.pump()
        self.pump()
        self._look_for_panic()
        panics = self._panics
        while self._state != _READY:
            if self._state == _IDLE:
                self._refusal = None
                self._begin()
                if self._state == _IDLE:
                    raise make(GuestUnreachableError, "The guest's agent cannot be spoken to.", self._end)
            left = self._waits_for_this_one()
            if not left or (deadline.passed and left < DAY):
                if by_any:
                    return
                raise not_supported("It is the only one that answers in the guest.")
            if deadline.passed:
                raise make(GuestNotAnsweringError, f"No agent answered in the guest within {deadline}.")
            yield self.greeting, Deadline(deadline.remaining(left)) if left < DAY else deadline
            if self._panics != panics:
                raise panicked(self._end, "before its agent answered")
            if self._refusal is not None:
                refusal, self._refusal = self._refusal, None
                raise make(GuestUnreachableError, "The guest's agent cannot be spoken to.", refusal)

    def _panic(self) -> Panicked | None:
        """What the consoles show of a panic that ends what is under way. The last words, behind which no agent is to be
        waited for, may come long after the first ones."""
        if self._watch is None:
            return None
        panic = self._watch.look()
        if panic is None and self._state != _READY and self._machine_runs():
            return self._watch.lasting()
        return panic

    def _look_for_panic(self) -> None:
        """Raises if the guest is one that panicked, and does nothing more. One that starts anew is waited for."""
        if self._watch is not None:
            if self._state == _IDLE:
                self._watch.look()
            if (words := self._watch.lasting()) is not None and self._machine_runs():
                raise panicked(words, "before")

    def _machine_runs(self) -> bool:
        return self._machine is not None and lib.applevz_machine_state(self._machine) not in ENDED

    @staticmethod
    def _not_running(machine: Reference) -> Error:
        error = lib.applevz_machine_copy_stop_error(machine)
        if error is None:
            reason, suggestion = "Its machine is not running.", "Start the machine first."
        else:
            stopped = exception_of(error)
            reason = f"Its machine stopped by an error: {stopped.failure_reason or stopped.localized_description}"
            suggestion = "Start the machine again."
        return make(GuestUnreachableError, "The guest cannot be reached.", reason, suggestion)

    @property
    def has_turned_off(self) -> bool:
        """Whether the machine is stopped, and by no error."""
        return (
            self._machine is not None
            and lib.applevz_machine_state(self._machine) in ENDED
            and lib.applevz_machine_copy_stop_error(self._machine) is None
        )

    def _begin(self) -> None:
        if self._machine is not None:
            self._life = Life(self._machine)
            if self._life.ended:
                raise self._not_running(self._machine)
        # Nobody waits for an answer to what was never sent.
        self._changing = True
        self._reader.drop()
        self._state = _BEGINNING
        if self.qemu_agent is not None:
            self.qemu_agent.begin()
        self._send_beginning()
        self.flush()

    def _send_beginning(self) -> None:
        self._changing = True
        self._begins_again = False
        self._nonce = os.urandom(len(frames.NO_NONCE))
        self._put([beginning(self._nonce)])
        self._changing = False

    def _hello(self, operation: int, payload: memoryview[int]) -> None:
        if operation != frames.HELLO or len(payload) < _HELLO.size:
            self._refusal = "Its first frame says no hello."
            raise BrokenFrameError
        version, window, killed, closed, process = _HELLO.unpack_from(payload)
        if version != frames.VERSION or not frames.MOST <= window <= _LARGEST_WINDOW:
            self._refusal = f"It speaks version {version} of the protocol, with a window of {window} bytes."
            raise BrokenFrameError
        self._window = window
        self.processes_killed, self.streams_closed, self.agent_process = killed, closed, process
        self.agent_version = bytes(payload[_HELLO.size : _HELLO.size + 64]).decode("utf-8", "replace")
        self._state = _READY
        if self._is_elsewhere:
            self._tell_restored()
        self.greeting.changed()

    def lose(self, words: str) -> None:
        """Ends the session. All that was under way is lost, for the reason that `words` say."""
        self._losing = words
        self._end_all()

    def _end_all(self) -> None:
        # A signal's handler that raises in here leaves the rest to the next call: whoever was not told is told then.
        words = "" if self._losing is None else self._losing
        self._state = _IDLE
        self._end = words
        self._life = None
        self._queue.clear()
        self._queued = 0
        self._told.clear()
        self._short_of_room.clear()
        self._abandoned.clear()
        self._changing = False
        while self._streams:
            number, stream = next(iter(self._streams.items()))
            stream.lost = words
            stream.over = True
            stream.changed()
            del self._streams[number]
        while self._asked:
            self._asked[0](None)
            self._asked.popleft()
        if self.qemu_agent is not None:
            self.qemu_agent.lose(words)
        self.greeting.changed()
        self._losing = None

    # ---- What is sent ----

    def _put(self, whole: Iterable[bytes]) -> None:
        parts = list(whole)
        # In one step: a stream's START is never there by half.
        self._queue.extend(parts)
        self._queued += sum(map(len, parts))

    def open(
        self,
        operation: int,
        payload: bytes,
        incoming: Iterable[int] = (),
        *,
        halves: bool = False,
        parts: bool = False,
        more: bool = False,
    ) -> Stream:
        """Begins a stream of a session that is ready. With `parts` the payload may be longer than one frame's. With
        `more` it is sent together with what follows at once."""
        self._last_stream = self._last_stream % 0xFFFFFFFF + 1
        self._highest_stream = max(self._highest_stream, self._last_stream)
        stream = Stream(self._last_stream, self._window, incoming, halves=halves)
        if self._state != _READY:
            # It was lost since somebody looked.
            stream.lost, stream.over = self._end, True
            return stream
        self._streams[stream.number] = stream
        whole = frames.frames_of(operation, stream.number, payload) if parts else None
        self._put(whole or [frame(operation, stream.number, payload)])
        if not more:
            self.flush()
        return stream

    def tell(self, stream: Stream, operation: int, payload: bytes = b"", channel: int = 0) -> None:
        """Sends a frame of a stream. Does nothing once the stream is over."""
        if not stream.over:
            self._put([frame(operation, stream.number, payload, channel)])
            self.flush()

    def send(self, stream: Stream, data: memoryview[int], *, last: bool = False) -> int:
        """Sends as much of the data as may be sent now. Returns how much that is. With `last`, and once that is all of
        it, says together with it that there is no more."""
        sent = 0
        while not stream.over and sent < len(data) and stream.credit:
            if not self.has_room:
                self.flush()
                if not self.has_room:
                    self._short_of_room.add(stream)
                    break
            part = data[sent : sent + min(stream.credit, frames.MOST)]
            stream.credit -= len(part)
            self._put([frame(frames.DATA, stream.number, part)])
            sent += len(part)
        if last and sent == len(data):
            self.end(stream)
        self.flush()
        return sent

    def sent(self, stream: Stream, deadline: Deadline) -> Waits[None]:
        """Until the port took what waits to be sent: when nobody waits, nobody moves it. Never fails."""
        while self._queue and not stream.over and not deadline.passed:
            self._short_of_room.add(stream)
            yield stream, deadline

    def end(self, stream: Stream) -> None:
        """Says that the host sends no more on a stream."""
        if not stream.output_ended:
            stream.output_ended = True
            self.tell(stream, frames.END)
            self._look_whether_over(stream)

    def took(self, stream: Stream, channel: int) -> None:
        """Has the agent send more, if enough was taken of what came."""
        if not stream.over and (credit := stream.incoming[channel].credit_to_give(self._window)):
            self.tell(stream, frames.CREDIT, _NUMBER.pack(credit), channel)

    def close(self, stream: Stream, *, reset: bool = False) -> None:
        """Ends a stream, whatever its state. Its process is killed; a connection may be reset."""
        if not stream.over:
            self.tell(stream, frames.CLOSE, channel=int(reset))
            self._forget(stream)

    def abandon(self, stream: Stream, rest: bytes | None = None) -> None:
        """Ends a stream that nobody refers to any more: a file that is written once `rest` was sent.

        A finalizer may call it, in the middle of whatever its thread does here. So it is done by the next pump.
        """
        if not stream.over:
            self._abandoned.append((stream, None if rest is None else memoryview(rest)))

    def _end_abandoned(self) -> None:
        # A finalizer may add some meanwhile.
        for place in reversed(range(len(self._abandoned))):
            stream, rest = self._abandoned[place]
            if rest is not None:
                rest = rest[self.send(stream, rest) :]
                self._abandoned[place] = stream, rest
                if rest and not stream.over:
                    continue
                self.end(stream)
            self.close(stream)
            del self._abandoned[place]

    def ask(self, told: Callable[[bytes | None], None]) -> None:
        """Asks for information. `told` is called with it, or with None if the session is lost."""
        self._asked.append(told)
        self._put([frame(frames.INFORMATION, 0)])
        self.flush()

    def restored(self) -> None:
        """The guest goes on elsewhere, as one of perhaps many. Its agent is told at once, or with the first that it is
        told: it sets the guest's clock, and tells its random numbers apart from those of other machines. It has done
        that when it does what is asked for next: this has no answer, and an agent that does not know it drops it."""
        self._is_elsewhere = True
        if self._state == _READY:
            self._tell_restored()
            self.flush()

    def _tell_restored(self) -> None:
        self._is_elsewhere = False
        time_now = _TIME.pack(*divmod(time.time_ns(), 1_000_000_000))
        self._put([frame(frames.RESTORED, 0, time_now + os.urandom(_ENTROPY))])

    # ---- What comes ----

    def _was_told(self, more: int, payload: memoryview[int]) -> None:
        if not self._asked or len(self._told) + len(payload) > _MOST_TOLD:
            raise BrokenFrameError
        self._told += payload
        if not more:
            told = bytes(self._told)
            self._told.clear()
            self._asked.popleft()(told)

    def _deliver(self, stream: Stream, operation: int, channel: int, payload: memoryview[int]) -> None:
        if operation == frames.DATA:
            incoming = self._channel(stream, channel)
            if not 0 < len(payload) <= incoming.credit:
                raise BrokenFrameError
            incoming.add(payload)
            if incoming.consumed:
                if credit := incoming.credit_to_give(self._window):
                    self._put([frame(frames.CREDIT, stream.number, _NUMBER.pack(credit), channel)])
                # Whoever takes all waits for its end: nobody is woken for a part of it.
                return
        elif operation == frames.END and channel == INPUT:
            stream.unread = True
        elif operation == frames.END:
            self._channel(stream, channel).ended = True
        elif operation == frames.CREDIT:
            (credit,) = _unpacked(_NUMBER, payload)
            if channel != 0 or credit + stream.credit > self._window:
                raise BrokenFrameError
            stream.credit += credit
        elif operation == frames.STARTED:
            if stream.started is not None:
                raise BrokenFrameError
            stream.started = bytes(payload)
        elif operation == frames.FAILED:
            (number,) = _unpacked(_ERRNO, payload)
            stream.failed = number, bytes(payload[_ERRNO.size :]).decode("utf-8", "replace")
        elif operation == frames.EXITED:
            kind, value = _unpacked(_EXIT, payload)
            if kind > 1 or value > 0xFF:
                raise BrokenFrameError
            stream.exited = kind, value
        elif operation == frames.DONE:
            (number,) = _unpacked(_ERRNO, payload)
            stream.done = number, bytes(payload[_ERRNO.size :])
        elif operation != frames.CLOSED:
            raise BrokenFrameError
        self._look_whether_over(stream)
        stream.changed()

    @staticmethod
    def _channel(stream: Stream, channel: int) -> Incoming:
        incoming = stream.incoming.get(channel)
        if incoming is None or incoming.ended:
            raise BrokenFrameError
        return incoming

    def _look_whether_over(self, stream: Stream) -> None:
        if (
            stream.failed is not None
            or stream.done is not None
            or (stream.exited is not None and stream.all_came)
            or (stream.halves and stream.output_ended and stream.all_came)
        ):
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        stream.over = True
        self._streams.pop(stream.number, None)
        self._short_of_room.discard(stream)


def _unpacked(kind: struct.Struct, payload: memoryview[int]) -> tuple[int, ...]:
    if len(payload) < kind.size:
        raise BrokenFrameError
    return kind.unpack_from(payload)


def look(stream: Stream, what: str, failed: Callable[[int, str], Error]) -> None:
    """Raises if nothing more comes of a stream that is waited for: its session was lost `what`, the agent could not go
    on, for which `failed` makes the error, or it ended the stream otherwise than by the protocol."""
    if stream.lost is not None:
        raise lost(stream.lost, what)
    if stream.failed is not None:
        raise failed(*stream.failed)
    if stream.over:
        raise lost("The agent does not keep to the protocol.", what)


def started(
    session: Session, stream: Stream, what: str, failed: Callable[[int, str], Error], late: str, deadline: Deadline
) -> Waits[None]:
    """Until a stream has begun, as `look` looks at it; `late` begins the sentence of the `TimeoutError`. One that does
    not begin is closed."""
    try:
        while stream.started is None:
            look(stream, what, failed)
            if deadline.passed:
                raise make(TimeoutError, f"{late} within {deadline}.")
            yield stream, deadline
    except BaseException:
        session.close(stream)
        raise
