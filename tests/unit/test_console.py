# SPDX-License-Identifier: Apache-2.0
"""A console without a machine: the test writes and reads where a guest would."""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

import applevz
from applevz import Console, InvalidArgumentError, InvalidStateError
from processes import open_descriptors, workers_end


class Guest:
    """The guest's ends of a console."""

    def __init__(self, console: Console) -> None:
        attachment = console.attachment
        self.reading = attachment.file_handle_for_reading.fileno()
        self.writing = attachment.file_handle_for_writing.fileno()

    def prints(self, data: bytes) -> None:
        os.write(self.writing, data)

    def reads(self, size: int = 1 << 16) -> bytes:
        return os.read(self.reading, size)


@pytest.fixture
def console() -> Iterator[Console]:
    console = Console()
    yield console
    console.close()


@pytest.fixture
def guest(console: Console) -> Guest:
    return Guest(console)


def test_what_the_guest_prints_is_read(console: Console, guest: Guest) -> None:
    guest.prints(b"hello\n")
    assert console.read(timeout=1) == b"hello\n"


def test_a_size_limits_what_is_read_and_the_rest_stays(console: Console, guest: Guest) -> None:
    guest.prints(b"hello")
    assert console.read(2, timeout=1) == b"he"
    assert console.read(0) == b""
    assert console.read(100, timeout=1) == b"llo"


def test_a_look_at_the_last_that_was_printed_leaves_it_to_be_read(console: Console, guest: Guest) -> None:
    assert console.peek() == b""
    guest.prints(b"first\nlast")
    assert console.peek() == b"first\nlast"
    assert console.readline(timeout=1) == b"first\n"
    assert console.peek() == b"first\nlast"
    assert console.read() == b"last"


def test_what_is_typed_reaches_the_guest(console: Console, guest: Guest) -> None:
    console.write("naïve\n")
    console.write(b"\x03")
    console.write(bytearray(b"!"))
    assert guest.reads() == "naïve\n\x03!".encode()


def test_bytes_are_typed_however_they_lie_in_memory(console: Console, guest: Guest) -> None:
    for data in (
        memoryview(b"atbtct")[::2],
        memoryview(b"cba")[::-1],
        memoryview(array("H", [0x6261])),
        bytearray(b"c"),
    ):
        console.write(data, timeout=5)
    assert guest.reads() == b"abcabcabc"
    for nothing in (b"", memoryview(array("H")), memoryview(b"abc")[3:]):
        console.write(nothing, timeout=5)
    released = memoryview(b"abc")
    released.release()
    with pytest.raises(InvalidArgumentError, match="data is <released memory"):
        console.write(released)
    os.set_blocking(guest.reading, False)
    with pytest.raises(BlockingIOError):
        guest.reads()


@pytest.mark.parametrize("pattern", [b"# ", "# ", re.compile(rb"[#$] "), re.compile("[#$] ")])
def test_reading_up_to_a_pattern_keeps_what_follows(
    console: Console, guest: Guest, pattern: bytes | str | re.Pattern[bytes]
) -> None:
    guest.prints(b"Welcome\n# and more")
    assert console.read_until(pattern, timeout=1) == b"Welcome\n# "
    assert console.read(timeout=1) == b"and more"


def test_a_pattern_that_comes_in_pieces_is_found(console: Console, guest: Guest) -> None:
    for piece in (b"rea", b"d", b"y"):
        guest.prints(piece)
        if piece != b"y":
            with pytest.raises(applevz.TimeoutError):
                console.read_until("ready", timeout=0)
    assert console.read_until("ready", timeout=1) == b"ready"


def test_a_time_out_shows_the_last_of_what_was_printed_and_loses_nothing(console: Console, guest: Guest) -> None:
    guest.prints(b"x" * 1000 + b"the end")
    begin = time.monotonic()
    with pytest.raises(applevz.TimeoutError) as caught:
        console.read_until("login:", timeout=0.2)
    assert 0.2 <= time.monotonic() - begin < 30
    assert isinstance(caught.value, TimeoutError)
    assert "'login:' within 0.2 s" in caught.value.localized_description
    assert "the end" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert console.read(timeout=0) == b"x" * 1000 + b"the end"


def test_more_than_the_limit_without_a_match_is_an_error(console: Console, guest: Guest) -> None:
    guest.prints(b"y" * 5000)
    with pytest.raises(InvalidStateError, match="4096"):
        console.read_until("z", timeout=5, limit=4096)


def test_lines_are_read_one_by_one(console: Console, guest: Guest) -> None:
    guest.prints(b"one\n\ntwo\nthr")
    assert [console.readline(timeout=1) for _ in range(3)] == [b"one\n", b"\n", b"two\n"]
    with pytest.raises(applevz.TimeoutError):
        console.readline(timeout=0)


def test_a_guest_that_does_not_take_its_input_is_named_with_how_much_it_took(console: Console) -> None:
    with pytest.raises(applevz.TimeoutError, match=r"[1-9]\d* of 10000000 bytes"):
        console.write(b"x" * 10_000_000, timeout=0.1)


def test_a_mebibyte_waits_for_its_reader(console: Console, guest: Guest) -> None:
    limit = Path("/proc/sys/fs/pipe-max-size")
    if not limit.exists() or int(limit.read_text()) < 1 << 20:
        pytest.skip("this system's pipes are smaller")
    os.set_blocking(guest.writing, False)
    guest.prints(b"z" * (1 << 20))
    total = 0
    while total < 1 << 20:
        total += len(console.read(timeout=1))
    assert len(console.tail) == 1 << 16


def test_the_tail_is_the_end_of_all_that_was_received(console: Console, guest: Guest) -> None:
    everything = b""
    for number in range(40):
        data = b"%d " % number * 2000
        everything += data
        guest.prints(data)
        assert console.read_until(data[-10:], timeout=1)
    assert everything.endswith(console.tail)


def test_closing_wakes_whoever_waits(console: Console) -> None:
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            console.read()
        except applevz.Error as error:
            caught.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    console.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(caught[0], InvalidStateError)


def test_closing_gives_the_descriptors_back_at_once() -> None:
    assert workers_end()
    before = open_descriptors()
    console = Console()
    console.close()
    assert open_descriptors() <= before


def test_a_closed_console_gives_its_numbers_to_nobody(console: Console) -> None:
    attachment = console.attachment
    console.close()
    with pytest.raises(InvalidStateError):
        _ = console.attachment
    handle = attachment.file_handle_for_writing
    assert handle is not None
    assert not isinstance(handle, int)
    with pytest.raises(InvalidStateError):
        handle.fileno()


def test_a_closed_console_says_so(console: Console) -> None:
    console.close()
    console.close()
    assert console.closed
    for use in (console.read, lambda: console.write(b"x"), lambda: console.read_until("x"), console.readline):
        with pytest.raises(InvalidStateError, match="closed"):
            use()


def test_another_thread_s_turn_counts_for_the_time_out(console: Console, guest: Guest) -> None:
    thread = threading.Thread(target=console.read, kwargs={"timeout": 10})
    thread.start()
    while not console._reading.taken:
        time.sleep(0.001)
    with pytest.raises(applevz.TimeoutError):
        console.read(timeout=0.05)
    guest.prints(b"x")
    thread.join(5)
    assert not thread.is_alive()


def test_a_signal_s_handler_runs_while_a_console_waits(console: Console, guest: Guest) -> None:
    previous = signal.signal(signal.SIGALRM, lambda *_: guest.prints(b"by the handler"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert console.read(timeout=10) == b"by the handler"
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_an_interrupt_ends_a_wait(console: Console) -> None:
    threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        console.read(timeout=10)
    assert not console._reading.taken


def test_a_dropped_console_gives_its_descriptors_back() -> None:
    gc.collect()
    assert workers_end()
    before = open_descriptors()
    consoles = [Console() for _ in range(10)]
    attachment = consoles[0].attachment
    del consoles
    assert os.fstat(attachment.file_handle_for_writing.fileno())
    del attachment
    assert open_descriptors() <= before


def test_descriptors_are_not_inherited(console: Console, guest: Guest) -> None:
    with console._from_guest as reading, console._to_guest as writing:
        assert not any(os.get_inheritable(end) for end in (guest.reading, guest.writing, reading, writing))


@pytest.mark.parametrize("pattern", [None, 1, ["x"]])
def test_what_is_no_pattern_is_refused(console: Console, pattern: object) -> None:
    with pytest.raises(TypeError, match="pattern"):
        console.read_until(pattern)  # type: ignore[arg-type]


EMPTY = (b"", "", bytearray(), re.compile(b""), re.compile(""), re.compile(b"x*"), re.compile("$"))


@pytest.mark.parametrize("pattern", EMPTY)
def test_a_pattern_that_is_found_where_there_is_nothing_is_refused_at_once(
    console: Console, guest: Guest, pattern: bytes
) -> None:
    guest.prints(b"something")
    with pytest.raises(InvalidArgumentError, match=r"^applevz 2: pattern is .*before the guest has printed anything"):
        console.read_until(pattern)
    assert console.read(timeout=1) == b"something"


@pytest.mark.parametrize("pattern", ["\ud800", re.compile("\ud800")])
def test_a_pattern_that_is_no_text_is_refused_by_name(console: Console, pattern: str) -> None:
    with pytest.raises(InvalidArgumentError, match="pattern is .*UTF-8"):
        console.read_until(pattern, timeout=1)


def test_an_expression_whose_match_has_no_length_gives_what_comes_before_it(console: Console, guest: Guest) -> None:
    guest.prints(b"before# after")
    assert console.read_until(re.compile(b"(?=# )"), timeout=1) == b"before"
    assert console.read_until(b"# ", timeout=1) == b"# "


@pytest.mark.parametrize("pattern", [re.compile(b"(?!)"), re.compile(rb"[^\x00-\xff]")])
def test_an_expression_that_matches_nothing_at_all_is_waited_for_up_to_the_time_or_the_limit(
    console: Console, guest: Guest, pattern: re.Pattern[bytes]
) -> None:
    guest.prints(b"something")
    with pytest.raises(applevz.TimeoutError):
        console.read_until(pattern, timeout=0.05)
    with pytest.raises(InvalidStateError, match="More than 5 bytes"):
        console.read_until(pattern, timeout=10, limit=5)


def test_a_pattern_that_is_changed_meanwhile_is_the_one_that_was_given(console: Console, guest: Guest) -> None:
    pattern = bytearray(b"ready")
    timer = threading.Timer(0.1, lambda: (pattern.clear(), guest.prints(b"not yet, ready")))
    timer.start()
    assert console.read_until(pattern, timeout=10) == b"not yet, ready"
    timer.join()


@pytest.mark.parametrize("data", [None, 1, ["x"]])
def test_what_is_no_text_is_refused(console: Console, data: object) -> None:
    with pytest.raises(TypeError, match="data"):
        console.write(data)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="data"):
        console.write("\ud800")


@pytest.mark.parametrize("size", [-2, 1.5, "1", True])
def test_what_is_no_size_is_refused(console: Console, size: object) -> None:
    with pytest.raises(InvalidArgumentError, match="size"):
        console.read(size)  # type: ignore[arg-type]
