# SPDX-License-Identifier: Apache-2.0
"""The program of the guest's agent, which the package carries, and how a kernel is given it with its initial RAM disk.

The kernel unpacks an initial RAM disk archive by archive: the agent is a second one, behind the user's, which stays as
it is (Documentation/driver-api/early-userspace/buffer-format.rst in Linux). `rdinit=` has the kernel start the agent,
which makes a process of itself and executes what would have been started.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO, Final
from weakref import WeakValueDictionary

from .._values.file_identities import identity_of, is_settled
from ..errors import Error, NotSupportedError, make, make_posix
from .nameless_files import NamelessFile

__all__ = ["agent_program", "agent_programs", "command_line_with_agent", "guest_agent_missing", "ramdisk_with_agent"]

_PROGRAM: Final = Path(__file__).resolve().parent.parent / "guest-agent"
# Those for guests of other processors, which some builds have.
_OTHERS: Final = "guest-agent-*"
_RDINIT: Final = b"rdinit="
_WORDS: Final = b"rdinit=/.applevz/agent"
_CHUNK: Final = 1 << 20

# The files that machines have, by the process and by what they were made of. A machine is made in half the time if
# another has its file.
_files: Final = WeakValueDictionary[tuple[int, ...], NamelessFile]()


def guest_agent_missing() -> Error | None:
    """Why no guest can be given the agent; None if it can."""
    if _PROGRAM.is_file():
        return None
    return make(
        NotSupportedError,
        "No guest can be given an agent.",
        "This installation of applevz was built without the guest's agent.",
        "Install musl-dev (on a Mac, or for want of that: ziglang, by pip), and applevz once more.",
    )


def agent_program() -> bytes:
    """The program, a static ELF file. Raises `NotSupportedError` if the package has none."""
    missing = guest_agent_missing()
    if missing is not None:
        raise missing
    return _PROGRAM.read_bytes()


def agent_programs() -> list[bytes]:
    """The program, and behind it those for other processors, if this installation has any. Raises `NotSupportedError`
    if the package has none."""
    return [agent_program(), *(path.read_bytes() for path in sorted(_PROGRAM.parent.glob(_OTHERS)))]


def ramdisk_with_agent(ramdisk: bytes) -> NamelessFile:
    """A file with the user's initial RAM disk and the agent. All machines that are given the same have one together:
    nobody can write to it.

    Raises `OSError` if `ramdisk` cannot be read, and `Error` if there is no room for a copy, or no agent.
    """
    missing = guest_agent_missing()
    if missing is not None:
        raise missing
    # A FIFO, without a writer, would be waited for.
    number = os.open(ramdisk, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(number, "rb") as source:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise OSError
        made_of = (os.getpid(), *identity_of(status), *identity_of(_PROGRAM.stat()))
        found = _files.get(made_of)
        if found is not None:
            return found
        is_good_for_later = is_settled(status)
        archive = _archive(agent_program())
        try:
            made = NamelessFile("initial RAM disk", lambda file: _fill(file, source, archive), sealed=True)
        except OSError as error:
            raise make_posix(
                error, "The initial RAM disk cannot be copied, with the guest's agent behind it.", "Make room."
            ) from None
        if is_good_for_later and identity_of(os.fstat(number)) == identity_of(status):
            _files[made_of] = made
        return made


def _fill(file: BinaryIO, source: BinaryIO, archive: bytes) -> None:
    shutil.copyfileobj(source, file, _CHUNK)
    # An archive begins at a multiple of four bytes.
    file.write(bytes(-file.tell() % 4) + archive)


def _archive(program: bytes) -> bytes:
    """A cpio archive (newc) with the agent alone."""
    parts: list[bytes] = []
    entries = ((b".applevz", stat.S_IFDIR | 0o700, b""), (b".applevz/agent", stat.S_IFREG | 0o700, program))
    for place, (name, mode, data) in enumerate((*entries, (b"TRAILER!!!", 0, b"")), 1):
        links = 2 if stat.S_ISDIR(mode) else 1
        # Number, mode, user, group, links, time, size, four numbers of devices, length of the name, a checksum.
        fields = (place, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name + b"\0"
        parts += (header, bytes(-len(header) % 4), data, bytes(-len(data) % 4))
    return b"".join(parts)


def command_line_with_agent(line: bytes) -> bytes:
    """The kernel's command line, with the words that have it start the agent before what it would have started.

    The words go before a lone `--`: what is behind that is init's. An `rdinit=` of the user's is told to the agent.
    """
    end, started = len(line), None
    for begin, behind in _words(line):
        word = line[begin:behind].replace(b'"', b"")
        if word == b"--":
            end = begin
            break
        if word.startswith(_RDINIT):
            started = word[len(_RDINIT) :]
    words = [line[:end].rstrip(), _WORDS]
    if started:
        words.append(b'applevz_rdinit="%b"' % started if b" " in started else b"applevz_rdinit=" + started)
    return b" ".join(word for word in (*words, line[end:]) if word)


def _words(line: bytes) -> list[tuple[int, int]]:
    """Where the words of a command line begin and end. Blanks between quotation marks are a part of a word
    (lib/cmdline.c, `next_arg`)."""
    words, begin, quoted = [], -1, False
    for place, byte in enumerate(line):
        character = bytes((byte,))
        if character.isspace() and not quoted:
            if begin >= 0:
                words.append((begin, place))
                begin = -1
            continue
        if begin < 0:
            begin = place
        if character == b'"':
            quoted = not quoted
    if begin >= 0:
        words.append((begin, len(line)))
    return words
