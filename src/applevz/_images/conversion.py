# SPDX-License-Identifier: Apache-2.0
"""Makes a sparse raw disk of an image: by the program qemu-img, and before that of a compressed file by Python.

qemu-img reads what somebody else wrote. It runs under limits of memory and of the length of what it writes, is told
each format, and is ended if what it makes takes more room than is allowed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ..errors import Error, InvalidDiskImageError, NotSupportedError, make, make_posix
from .chains import Chain, Link
from .disk_formats import DECRYPT, refused
from .programs import Program, running
from .task import Task

__all__ = ["Limits", "convert", "decompress"]

# Much of it is the stacks and heaps of threads, of which only little is used.
_MEMORY_KIBIBYTES: Final = 4 << 20
_PROCESSOR_SECONDS: Final = 24 * 3600
_PROGRESS: Final = re.compile(rb"\((\d{1,3}\.\d{2})/100%\)")
_BLOCK: Final = 1 << 20
_PAGE: Final = 4096
_ZEROS: Final = bytes(_PAGE)
# What xz and zstd may take to unpack, whatever a file says.
_UNPACKING_MEMORY: Final = 512 << 20


class Limits:
    """How large a disk may be, in bytes: `size` is what a guest sees, `data` is what it takes up on the host."""

    def __init__(self, size: int, data: int) -> None:
        self.size = size
        self.data = data

    def check_size(self, name: str, size: int) -> None:
        if size > self.size:
            suggestion = "Give a larger maximum_size, if you trust the image."
            raise refused(name, f"Its disk has {size} bytes, and {self.size} are allowed.", suggestion)
        if size == 0 or size % 512:
            raise refused(name, f"Its disk has {size} bytes, and a disk has sectors of 512.")

    def check_data(self, name: str, taken: int) -> None:
        if taken > self.data:
            suggestion = "Give a larger maximum_data, if you trust the image."
            raise refused(name, f"It takes up more than the {self.data} bytes that are allowed.", suggestion)


def convert(task: Task, name: str, chain: Chain, target: Path, limits: Limits) -> int:
    """Writes the disk of a chain to a new file. Returns its size. `name` is the image's, for errors."""
    for link in chain.links:
        if link.header.size is not None:
            limits.check_size(link.path, link.header.size)
    size = _size(task, name, chain)
    limits.check_size(name, size)
    for link in chain.links:
        if link.header.format != "raw":
            _check_whole(task, chain, link)
    words = ["convert", "-p", "-O", "raw", "-t", "writeback", _address(chain.options()), str(target)]
    with _qemu_img(words, chain, limits.size) as process:
        for _ in process.steps(task):
            status = _status(target)
            limits.check_data(name, status.st_blocks * 512 if status else 0)
            task.tell("convert", int(size * _percent(process.output[-64:]) / 100), size)
        _check_end(process, name, target)
    chain.check_unchanged()
    made = target.stat()
    if made.st_size != size:
        raise refused(name, f"qemu-img made {made.st_size} bytes of a disk of {size}.")
    limits.check_data(name, made.st_blocks * 512)
    task.tell("convert", size, size)
    return size


def _address(options: dict[str, Any]) -> str:
    return "json:" + json.dumps(options)


def _check_whole(task: Task, chain: Chain, link: Link) -> None:
    """Refuses an image that ends early, in whose place QEMU would read zeros, or is broken otherwise."""
    with _qemu_img(["check", "--output=json", _address(link.options(None))], chain, 0) as process:
        status = process.finish(task)
    # 2: broken. 3: only room is lost. 63: nobody can tell for that format.
    if status not in (0, 2, 3, 63):
        _check_end(process, link.path, None)
    try:
        told: Any = json.loads(process.output)
        end, broken = told.get("image-end-offset", 0), told.get("corruptions", 0) or told.get("check-errors", 0)
    except (ValueError, AttributeError, RecursionError):
        end, broken = 0, status == 2
    length = os.fstat(link.number).st_size
    if isinstance(end, int) and end >= length + link.header.cluster:
        raise refused(link.path, f"It ends early: it has {length} bytes of {end}.", "Bring the whole file.")
    if broken:
        suggestion = "Look at it with `qemu-img check`, or bring it once more."
        raise refused(link.path, "qemu-img finds it broken.", suggestion)


def _size(task: Task, name: str, chain: Chain) -> int:
    source = _address(chain.links[0].options(None))
    with _qemu_img(["info", "--output=json", source], chain, 0) as process:
        process.finish(task)
        _check_end(process, name, None)
    try:
        told: Any = json.loads(process.output)
        size, is_encrypted = told["virtual-size"], told.get("encrypted", False)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise refused(name, "qemu-img does not tell the size of its disk.") from None
    if is_encrypted:
        raise refused(name, "It is encrypted.", DECRYPT)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise refused(name, "qemu-img tells a size of its disk that is none.")
    return size


@contextlib.contextmanager
def _qemu_img(words: list[str], chain: Chain, largest: int) -> Iterator[Program]:
    """Runs qemu-img, which has ended when this ends."""
    program = shutil.which("qemu-img")
    if program is None:
        raise make(
            NotSupportedError,
            "No image can be converted.",
            "The program qemu-img is not installed.",
            "Install QEMU's tools: on Debian and Ubuntu `apt-get install qemu-utils`.",
        )
    # A shell sets the limits and is gone: what Python could do between fork and exec is not safe with threads.
    limits = f"ulimit -c 0; ulimit -v {_MEMORY_KIBIBYTES}; ulimit -t {_PROCESSOR_SECONDS}; "
    limits += f"ulimit -f {-(-largest // 512)}; " if largest else ""
    command = ["/bin/sh", "-c", f'{limits}exec "$@"', "sh", program, *words]
    with running(command, pass_fds=chain.numbers) as process:
        yield process


def _percent(text: bytes) -> float:
    found = _PROGRESS.findall(text)
    return min(float(found[-1]), 100.0) if found else 0.0


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _check_end(process: Program, name: str, target: Path | None) -> None:
    if process.status == 0:
        return
    reason = process.reason.removeprefix("qemu-img: ")
    for number in (errno.ENOSPC, errno.EDQUOT):
        if target is not None and os.strerror(number) in reason:
            raise _no_room(OSError(number, os.strerror(number)), target)
    raise make(
        InvalidDiskImageError,
        f"qemu-img cannot read the image {name!r}.",
        reason,
        "Look at it with `qemu-img check`. If a machine has it as a disk, stop that first.",
    )


def _no_room(error: OSError, target: Path) -> Exception:
    suggestion = "Make room on that disk, or name another folder as cache."
    return make_posix(error, f"The image {str(target)!r} cannot be made.", suggestion, os.fsencode(target))


def decompress(task: Task, name: str, number: int, kind: str, target: Path, limits: Limits) -> None:
    """Writes what is in a compressed file to a new one, with holes where it has zeros."""
    total = os.fstat(number).st_size
    try:
        with open(target, "xb") as file:
            length = 0
            for data in _parts(task, name, number, kind, total):
                length += len(data)
                if length > limits.size:
                    suggestion = "Give a larger maximum_size, if you trust the image."
                    raise refused(name, f"It has more than {limits.size} bytes, which are allowed.", suggestion)
                _write_sparse(file, data)
                limits.check_data(name, os.fstat(file.fileno()).st_blocks * 512)
            file.truncate(length)
    except Error:
        raise
    except OSError as error:
        raise _no_room(error, target) from error


def _parts(task: Task, name: str, number: int, kind: str, total: int) -> Iterator[bytes]:
    """What is unpacked, in parts of a bounded length. Several streams after each other are one."""
    place, data = 0, b""
    made, unpack_errors = _decompressor(kind)
    is_begun = False
    try:
        while True:
            if not data:
                data = os.pread(number, _BLOCK, place)
                place += len(data)
                task.tell("decompress", place, total)
                if not data:
                    break
            if made.eof:
                made, is_begun = _decompressor(kind)[0], False
                data = data.lstrip(b"\0")  # which may stand between streams, and fills up the last block of a tape
                if not data:
                    continue
            is_begun = True
            unpacked = made.decompress(data, _BLOCK)
            data = made.unused_data if made.eof else b""
            yield unpacked
            while not made.eof and not made.needs_input:
                task.check()
                yield made.decompress(b"", _BLOCK)
                data = made.unused_data if made.eof else b""
    except unpack_errors as error:
        raise refused(name, f"It cannot be unpacked: {error}.") from error
    if is_begun and not made.eof:
        raise refused(name, "It ends in the middle of what is packed.", "Bring the whole file.")
    if not is_begun and place == 0:
        raise refused(name, "It is empty.")


def _decompressor(kind: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """An object with the interface of `lzma.LZMADecompressor`, and the errors that it raises for what is wrong."""
    if kind == "gz":
        return _Gzip(), (zlib.error,)
    if kind == "xz":
        import lzma

        return lzma.LZMADecompressor(memlimit=_UNPACKING_MEMORY), (lzma.LZMAError, EOFError)
    try:
        import zstandard
    except ImportError:
        raise make(
            NotSupportedError,
            "No image that zstd packed can be unpacked.",
            "The Python package zstandard is not installed.",
            "Install it with the extra that needs it: pip install 'applevz[images]'.",
        ) from None
    return _Zstandard(zstandard), (zstandard.ZstdError,)


class _Gzip:
    """zlib's object, with the interface of lzma's."""

    def __init__(self) -> None:
        self._made = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._made.eof

    @property
    def unused_data(self) -> bytes:
        return self._made.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._made.unconsumed_tail

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._made.decompress(self._made.unconsumed_tail + data, most)


class _Zstandard:
    """zstandard's object, with the interface of lzma's. It gives more at once, but is given little at once."""

    _STEP: Final = 1024

    def __init__(self, module: Any) -> None:
        self._made = module.ZstdDecompressor(max_window_size=_UNPACKING_MEMORY).decompressobj()
        self._waiting = b""
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return bool(self._made.eof)

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    def decompress(self, data: bytes, most: int) -> bytes:
        waiting = self._waiting + data
        step, self._waiting = waiting[: self._STEP], waiting[self._STEP :]
        unpacked: bytes = self._made.decompress(step)
        if self._made.eof:
            self.unused_data = self._made.unused_data + self._waiting
        return unpacked


def _write_sparse(file: Any, data: bytes) -> None:
    """Writes at the file's place, and goes over whole pages of zeros."""
    if not data.strip(b"\0"):
        file.seek(len(data), os.SEEK_CUR)
        return
    begin = 0
    for place in range(0, len(data), _PAGE):
        page = data[place : place + _PAGE]
        if page == _ZEROS:
            file.write(data[begin:place])
            file.seek(_PAGE, os.SEEK_CUR)
            begin = place + _PAGE
    file.write(data[begin:])
