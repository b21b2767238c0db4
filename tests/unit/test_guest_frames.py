# SPDX-License-Identifier: Apache-2.0
"""The frames of the agent's protocol: what is made is found again, at whatever byte the pieces end."""

from __future__ import annotations

import os
import random

import pytest

from applevz._core.guest import frames
from applevz._core.guest.frames import BrokenFrameError, FrameReader, frame, frames_of

SOME = [(frames.DATA, 7, b"x" * 32768, 1), (frames.END, 0xFFFFFFFF, b"", 2), (frames.SIGNAL, 1, b"\xff" * 4, 0)]


def feed(reader: FrameReader, data: bytes) -> None:
    room = reader.room()
    room[: len(data)] = data
    reader.received(len(data))


def read(reader: FrameReader) -> list[tuple[int, int, bytes, int]]:
    return [(operation, stream, bytes(payload), channel) for operation, channel, stream, payload in reader.frames()]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 11, 12, 13, 16, 4096, 40_000])
def test_frames_are_found_in_pieces_of_any_size(size: int) -> None:
    data = b"".join(frame(*one) for one in SOME)
    reader, found = FrameReader(), []
    for start in range(0, len(data), size):
        feed(reader, data[start : start + size])
        found += read(reader)
    assert found == SOME


def test_more_bytes_than_the_buffer_has_go_through() -> None:
    reader, count = FrameReader(), 0
    data = frame(frames.DATA, 1, os.urandom(32768), 1)
    for _ in range(100):
        feed(reader, data)
        count += len(read(reader))
    assert count == 100


@pytest.mark.parametrize("place", [*range(12), *range(-4, 0)], ids=str)
def test_a_frame_with_another_header_or_end_is_none(place: int) -> None:
    data = bytearray(frame(frames.DATA, 1, b"payload", 1))
    data[place] ^= 0x80
    reader = FrameReader()
    feed(reader, bytes(data))
    if 8 <= place < 12:
        # A longer one would have to be there as a whole.
        feed(reader, bytes(1 << 17))
    # The channel and the highest bit of the stream are in no check: the end's highest bit tells it from filler.
    if place == 3:
        assert next(reader.frames())[1] == 0x81
    elif place == 7:
        assert next(reader.frames())[2] == 0x80000001
    else:
        with pytest.raises(BrokenFrameError):
            read(reader)


def test_filler_ends_every_frame_that_was_begun() -> None:
    whole = frame(frames.DATA, 3, bytes(1000), 1)
    for length in range(len(whole)):
        reader = FrameReader()
        feed(reader, whole[:length] + b"\xff" * 32784)
        with pytest.raises(BrokenFrameError):
            read(reader)


def test_a_long_payload_becomes_frames_of_which_the_last_says_so() -> None:
    payload = os.urandom(2 * 32768 + 1)
    reader = FrameReader()
    feed(reader, b"".join(frames_of(frames.START, 5, payload)))
    found = read(reader)
    assert [channel for *_, channel in found] == [1, 1, 0]
    assert b"".join(data for _, _, data, _ in found) == payload
    assert len(frames_of(frames.START, 5, b"")) == 1


def test_a_marker_is_found_with_its_nonce_alone_at_any_byte() -> None:
    nonce = os.urandom(16)
    data = b"\xff" * 100 + frames.MARKER + os.urandom(16) + frames.MARKER[:9] + frames.MARKER + nonce
    behind = frame(frames.END, 1)
    for size in range(1, 40):
        reader, found = FrameReader(), []
        for start in range(0, len(data), size):
            feed(reader, data[start : start + size])
            if (seen := reader.find(nonce)) is not None:
                found.append(seen)
        assert found == [nonce]
        feed(reader, behind)
        assert len(read(reader)) == 1


def test_malformed_frames_are_refused_and_take_no_room() -> None:
    choose = random.Random(4)  # noqa: S311  # the same each time
    reader = FrameReader()
    whole = b"".join(frame(*one) for one in SOME[1:])
    refused = 0
    for _ in range(50_000):
        data = bytearray(whole)
        for _ in range(20):
            data[choose.randrange(len(data))] = choose.randrange(256)
        feed(reader, bytes(data))
        try:
            read(reader)
        except BrokenFrameError:
            refused += 1
            reader.drop()
    # A wrong length is refused only when so many bytes have come.
    assert refused > 1_000
    # What is left of it is less than a frame.
    assert len(reader.room()) > 400_000
