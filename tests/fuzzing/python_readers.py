# SPDX-License-Identifier: Apache-2.0
"""The readers in Python of what others send or leave: a guest's agents, trees of files, consoles, disk images, servers
and files of the cache.

    export PYTHONPATH=tests/support:tests/support/agents
    python tests/fuzzing/python_readers.py tree --input crash-1234    # one input again
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mutation import Reader, read_once, search
from native_seeds import entry, tree
from python_guest import (
    frame_seeds,
    qemu_agent_seeds,
    read_console,
    read_datagrams,
    read_frames,
    read_qemu_agent,
    read_statistics,
    read_tree,
)
from python_images import (
    image_seeds,
    read_address,
    read_catalog,
    read_checksums,
    read_description,
    read_image,
    read_index,
    read_keys,
    read_packed,
    read_qemu_img,
    read_saved_state,
    state_seeds,
)

from applevz._core import panics
from applevz._core.guest.frames import BrokenFrameError
from applevz._core.guest.information import information_of
from applevz._images import catalog, image
from applevz.errors import Error

__all__ = ["READERS"]


def seeds(*some: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(some)


_JSON: Final = (
    b"null", b"true", b"-1", b"1e400", b"1" * 400, b"[]", b"{}", b'""', b'"\\ud800"', b"NaN", b"[" * 2000, b'{"a":',
    b",", '"²"'.encode(), b'"made":', b'"return":', b'"eof":false', b'"count":', b'"virtual-size":',
)  # fmt: skip
_IMAGE: Final = image.Image(
    "/x", "debian:13", "13", "x86_64", 512, None, "https://server/", "debian", "efi", None, "why", 1.0
)
_SUM: Final = b"0123456789abcdef" * 4

READERS: Final[dict[str, Reader]] = {
    "frames": Reader(read_frames, frame_seeds, (Error,)),
    "tree": Reader(
        read_tree,
        lambda: [
            b"\xff" + tree(), b"\0" + tree(), b"\xff" + entry(b"d", b"") + entry(b"e", b"x", mode=13),
            b"\xff" + entry(b"f", b"", size=5) + struct.pack("<QQ", 0, 5) + b"hello", entry(b"d", b"a/../b"),
        ],
        (Error,),
        (entry(b"d", b"a"), entry(b"d", b"a/b"), entry(b"l", b"a", b".."), entry(b"f", b"a/b/c"), b"../canary", b"/"),
    ),
    "datagrams": Reader(
        read_datagrams, seeds(b"\0\5\0hello\0\0", b"\xff\5\0" + bytes(28) + b"hello"), (BrokenFrameError,)
    ),
    "information": Reader(
        information_of, seeds(b"hostname=a\nload=1 2 3\nuptime=5.5\nmemory.total=9\naddress=lo ::1\nos.ID=x\n"),
        words=(b"nan", b"inf", b"1e999", "²".encode()),
    ),
    "qemu-agent": Reader(read_qemu_agent, qemu_agent_seeds, (Error,), _JSON),
    "console": Reader(
        read_console, seeds(b"login: root\r\n# ", b"x" * 50 + panics.WORDS + b": why\n---[ end " + panics.WORDS),
        words=(panics.WORDS, b"end ", b"password=", b"https://a:b@c", b"\xe2\x82"),
    ),
    "statistics": Reader(
        read_statistics, seeds(b"  eth0: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n lo: 1 1\n\x0052:54:00:00:00:01\n"), (Error,)
    ),
    "image": Reader(read_image, image_seeds, (Error,)),
    "qemu-img": Reader(
        read_qemu_img,
        seeds(
            b'\0{"virtual-size": 1024, "encrypted": false}', b'\2{"image-end-offset": 5, "corruptions": 1}',
            b"\0(12.50/100%)",
        ),
        (Error,), _JSON,
    ),
    "packed": Reader(
        read_packed,
        lambda: [
            b"\0" + gzip.compress(bytes(10000) + b"x"), b"\1" + lzma.compress(bytes(10000) + b"x"),
            b"\0" + gzip.compress(b"a") * 2 + bytes(9), b"\0" + zlib.compress(b"x"),
        ],
        (Error,),
    ),
    "checksums": Reader(
        read_checksums,
        seeds(
            _SUM + b"  disk.qcow2\n", b"SHA256 (disk.qcow2) = " + _SUM + b"\n", _SUM,
            b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + _SUM + b" *x\n-----BEGIN PGP SIGNATURE-----\n",
        ),
        (Error,), (_SUM, b" *", b"(", b") = ", b"\t"),
    ),
    "catalog": Reader(
        read_catalog, lambda: [Path(catalog.__file__).with_name("catalog.json").read_bytes()], (Error,), _JSON
    ),
    "description": Reader(read_description, lambda: [json.dumps(image.json_of_image(_IMAGE)).encode()], (), _JSON),
    "index": Reader(
        read_index, seeds(b'<a href="image-12.qcow2"> <A HREF = image-13.qcow2> <a href="./x.raw">'), (Error,),
        (b"href=", b"HREF = '", b"image-1.qcow2", "image-²".encode()),
    ),
    "address": Reader(
        read_address,
        seeds(b"/other", b"http://server/", b"https://user@[::1]:99999/", b"https://server/a?b#c", b"//x"),
    ),
    "keys": Reader(
        read_keys,
        seeds(
            b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n=abcd\n-----END PGP",
            b"\x7fELF\2\1\1" + bytes(11) + b"\x3e\0",
        ),
    ),
    "saved-state": Reader(read_saved_state, state_seeds, (Error,), _JSON),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz a reader in Python.")
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where inputs are kept; by default build/fuzzing/READER")
    parser.add_argument("--input", type=Path, help="a file to be read once, in place of what is made up")
    arguments = parser.parse_args()
    reader = READERS[arguments.reader]
    if arguments.input is not None:
        read_once(reader, arguments.input.read_bytes())
        return 0
    kept = arguments.folder or Path("build/fuzzing") / arguments.reader
    count, found = search(reader, arguments.seconds, arguments.seed, kept)
    print(f"executions: {count}")
    if found is not None:
        print(f"found: {found}")
    return 0 if found is None else 1


if __name__ == "__main__":
    sys.exit(main())
