# SPDX-License-Identifier: Apache-2.0
"""`applevz image`: disk images, made and changed as files, and kept by name."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import CloudInitSeed, create_disk_image, images
from .._images.chains import Chain
from .._images.disk_formats import COMPRESSIONS, FORMATS
from .._images.importing import convert_chain, limits_argument
from .._images.task import Task
from .._values.sizes import size as size_argument
from ..errors import Error, InvalidArgumentError, InvalidDiskImageError, make, make_posix
from .progress import progress_bars
from .words import mebibytes, one_line

__all__ = ["image"]

_SECTOR: Final = 512
_FORMATS: Final = click.Choice([*FORMATS, *COMPRESSIONS])
_FILE: Final = click.Path()

_cache = click.option("--cache", metavar="DIR", type=_FILE, help="a folder in place of this user's cache")
_architecture = click.option("--architecture", metavar="NAME", help="x86_64 or aarch64")
_timeout = click.option("--timeout", type=float, metavar="SECONDS", help="that the whole may take (no limit)")
_json = click.option("--json", "as_json", is_flag=True, help="print it as JSON")


def _limits(function: Callable[..., Any]) -> Callable[..., Any]:
    data = click.option(
        "--maximum-data", default="32GiB", show_default=True, metavar="SIZE", help="room that it may take here"
    )
    size = click.option(
        "--maximum-size", default="256GiB", show_default=True, metavar="SIZE", help="size that its disk may have"
    )
    return size(data(function))


@click.group("image", no_args_is_help=False, short_help="make, convert, download, list and remove disk images")
def image() -> None:
    """Disk images: files that are made, looked at, resized and converted; and images by name, which are downloaded,
    imported or made once, and kept in this user's cache."""


# ---- Files ----


@image.command("create")
@click.argument("path", type=_FILE)
@click.argument("size", required=False)
@click.option("--base", multiple=True, type=_FILE, metavar="FILE", help="keep only what differs from that raw image")
def create(path: str, size: str | None, base: tuple[str, ...]) -> int:
    """Makes a raw disk image of zeros, of SIZE as 8GiB; or one that has what --base has and keeps only what differs.

    It takes no room until it is written to. A file that exists stays. --base is repeated for a base that was made on
    a base itself."""
    create_disk_image(path, size, base=list(base) or None)
    return 0


@image.command("info")
@click.argument("path", type=_FILE)
@click.option("--format", "file_format", type=_FORMATS, help="what the file is (its beginning tells)")
@_json
def info(path: str, file_format: str | None, as_json: bool) -> int:
    """Says what an image is, how large its disk is, and which files lie beneath it.

    Only headers are read, and no file that lies elsewhere than the image's folder."""
    with Chain(path, file_format, [os.path.dirname(os.path.realpath(path))]) as chain:
        files: list[dict[str, Any]] = []
        for link in chain.links:
            status = os.fstat(link.number)
            files.append(
                {
                    "path": link.path,
                    "format": link.header.format,
                    "size": link.header.size,
                    "length": status.st_size,
                    "size_on_disk": status.st_blocks * _SECTOR,
                }
            )
    if as_json:
        click.echo(json.dumps(files, indent=1))
        return 0
    for depth, file in enumerate(files):
        known = "unknown without converting it" if file["size"] is None else _size_words(file["size"])
        click.echo(f"{'file' if depth == 0 else 'on':<10}{one_line(str(file['path']))}")
        click.echo(f"{'format':<10}{file['format']}")
        click.echo(f"{'disk':<10}{known}")
        click.echo(f"{'on disk':<10}{mebibytes(file['size_on_disk'])} of {mebibytes(file['length'])}")
    return 0


def _size_words(size: Any) -> str:
    return f"{mebibytes(size)} ({size} bytes)"


@image.command("resize")
@click.argument("path", type=_FILE)
@click.argument("size")
@click.option("--shrink", is_flag=True, help="let it become smaller, and lose what is behind its new end")
def resize(path: str, size: str, shrink: bool) -> int:
    """Gives a raw disk image another SIZE, as 16GiB. The guest has to make its partition and file system larger.

    It is refused while a machine has the disk, and for an image that is not raw: convert that, or make a larger one
    on it with `applevz image create --base`."""
    length = size_argument("size", size)
    if length == 0 or length % _SECTOR:
        raise make(InvalidArgumentError, f"size is {length} bytes.", "A disk has sectors of 512 bytes.")
    try:
        number = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "r+b", buffering=0) as file:
            _resize(path, file.fileno(), length, shrink)
    except OSError as error:
        if isinstance(error, Error):
            raise
        hint = "Name an image that this user may write."
        raise make_posix(error, f"The image {path!r} cannot be resized.", hint, os.fsencode(path)) from error
    return 0


def _resize(path: str, number: int, length: int, shrink: bool) -> None:
    what = f"The image {path!r} is not resized."
    if not stat.S_ISREG(os.fstat(number).st_mode):
        raise make(InvalidDiskImageError, what, "It is no regular file.")
    with Chain(path, None, [os.path.dirname(os.path.realpath(path))]) as chain:
        found = chain.links[0].header.format
    if found != "raw":
        hint = "Convert it with `applevz image convert`, or make a larger one on it with `applevz image create --base`."
        raise make(InvalidDiskImageError, what, f"Its format is {found}, and only a raw image is resized.", hint)
    try:
        # QEMU holds locks on a disk that is written to: this one goes with none of them.
        fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise make(InvalidDiskImageError, what, "A program has it open as a disk.", "Stop the machine first.") from None
    had = os.fstat(number).st_size
    if length < had and not shrink:
        reason = f"It has {had} bytes, and would have {length}: what is behind that would be lost."
        raise make(InvalidDiskImageError, what, reason, "Give --shrink, if that is wanted.")
    os.ftruncate(number, length)


@image.command("convert")
@click.argument("source", type=_FILE)
@click.argument("target", type=_FILE)
@click.option("--format", "file_format", type=_FORMATS, help="what SOURCE is (its beginning tells)")
@click.option("--force", is_flag=True, help="replace TARGET if it exists")
@_limits
@_timeout
def convert(
    source: str,
    target: str,
    file_format: str | None,
    force: bool,
    maximum_size: str,
    maximum_data: str,
    timeout: float | None,
) -> int:
    """Makes a raw disk image, TARGET, of a file: qcow2, vmdk, vdi, vhdx or raw, or one of them packed by gzip, xz or
    zstd.

    TARGET is whole or not there. Files beneath SOURCE lie in its folder or below. An image that names other files, or
    asks for more room than is allowed, is refused."""
    limits = limits_argument(maximum_size, maximum_data)
    if not force and os.path.lexists(target):
        error = FileExistsError(17, os.strerror(17))
        raise make_posix(error, f"The image {target!r} cannot be made.", "Give --force.", os.fsencode(target))
    try:
        with _folder_beside(target) as folder, progress_bars() as show:
            made = folder / "disk"
            with Chain(source, file_format, [os.path.dirname(os.path.realpath(source))]) as chain:
                convert_chain(Task(timeout, show, source, "is not converted", ""), chain, source, folder, made, limits)
            made.chmod(0o600)
            if force:
                made.replace(target)
            else:
                os.link(made, target, follow_symlinks=False)
    except OSError as error:
        if isinstance(error, Error):
            raise
        hint = "Name a new file in a folder that is there and that this user may write."
        raise make_posix(error, f"The image {target!r} cannot be made.", hint, os.fsencode(target)) from error
    return 0


@contextmanager
def _folder_beside(target: str) -> Iterator[Path]:
    """A folder in the same file system, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".applevz-converting-", dir=os.path.dirname(target) or ".") as folder:
        yield Path(folder)


# ---- Images by name ----


@image.command("pull")
@click.argument("name")
@_architecture
@click.option("--checksum", metavar="SUM", help="what the file must have, as sha256:…; needed for an address")
@click.option("--offline", is_flag=True, help="take it from the cache, or not at all")
@click.option("--refresh", is_flag=True, help="ask whether there is a newer one")
@click.option("--keyring", type=_FILE, metavar="FILE", help="keys of PGP, for the signature of the checksums")
@click.option("--require-signature", is_flag=True, help="take none whose signature was not checked")
@click.option("--catalog", type=_FILE, metavar="FILE", help="a catalog in place of the package's own")
@_limits
@_cache
@_timeout
def pull(name: str, **options: Any) -> int:
    """Downloads an image, by a name like debian:13 or an address, and prints its path. One that is in the cache is
    taken from there."""
    try:
        with progress_bars() as show:
            found = images.pull(name, progress=show, **options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what was downloaded is kept") from None
    if found.signed_by is None:
        print(f"No signature was checked: {found.unsigned_reason}.", file=sys.stderr)
    click.echo(found.path)
    return 0


@image.command("import")
@click.argument("file", type=_FILE)
@_architecture
@click.option("--checksum", metavar="SUM", help="what the file must have, as sha256:…")
@click.option("--format", "file_format", type=_FORMATS, help="what the file is (its beginning tells)")
@click.option("--name", metavar="NAME", help="what it is listed as (the file's name)")
@_limits
@_cache
@_timeout
def import_image(file: str, **options: Any) -> int:
    """Makes an image in the cache of a file: qcow2, vmdk, vdi, vhdx or raw, or one of them packed. Prints its path."""
    with progress_bars() as show:
        found = images.of(file, progress=show, **options)
    click.echo(found.path)
    return 0


@image.command("build-debian")
@click.argument("release")
@click.option("--package", "packages", multiple=True, metavar="NAME", help="one more; can be repeated")
@click.option("--boot", default="kernel", show_default=True, metavar="HOW", help="kernel, or efi: by its firmware")
@click.option("--size", default="2GiB", show_default=True, metavar="SIZE", help="of the guest's disk")
@click.option("--mirror", metavar="URL", help="where the packages are (mmdebstrap's choice)")
@click.option("--user-data", type=_FILE, metavar="FILE", help="what cloud-init does at the first boot")
@click.option("--without-guest-agent", is_flag=True, help="leave this package's agent out")
@click.option("--name", metavar="NAME", help="what it is listed as")
@click.option("--refresh", is_flag=True, help="make it again")
@_cache
@_timeout
def build_debian(release: str, user_data: str | None, without_guest_agent: bool, **options: Any) -> int:
    """Makes a Debian of its packages, as trixie or 13, and prints its path. The same recipe is made once."""
    seed = None if user_data is None else CloudInitSeed(read_user_data(user_data))
    with progress_bars() as show:
        found = images.build_debian(
            release, seed=seed, guest_agent=not without_guest_agent, progress=show, **options
        )
    click.echo(found.path)
    return 0


def read_user_data(path: str) -> str:
    """The text of a file for cloud-init."""
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise make_posix(error, f"The user data {path!r} cannot be read.") from error
    except ValueError as error:
        reason = "It is no text in UTF-8."
        raise make(InvalidArgumentError, f"The user data {path!r} cannot be used.", reason) from error


@image.command("list")
@_json
@_cache
def list_all(as_json: bool, cache: str | None) -> int:
    """Lists the images in the cache."""
    found = images.list(cache=cache)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
    elif sys.stdout.isatty():
        table = Table("name", "processor", "size", "made", "path", box=SIMPLE_HEAD, pad_edge=False)
        for one in found:
            table.add_row(*(Text(word, overflow="fold") for word in _row(one)))
        Console().print(table)
    else:
        for one in found:
            name, architecture, size, made, path = _row(one)
            click.echo(f"{name:<24}  {architecture:<8}  {size:>12}  {made}  {path}")
    return 0


def _row(found: images.Image) -> tuple[str, str, str, str, str]:
    made = time.strftime("%Y-%m-%d", time.gmtime(found.made))
    return found.name, found.architecture or "-", mebibytes(found.size), made, found.path


@image.command("remove")
@click.argument("name")
@_architecture
@_cache
@_timeout
def remove(name: str, **options: Any) -> int:
    """Removes the images of that name, and the saved states in the cache of guests that were launched on them."""
    _show_removed(images.remove(name, **options))
    return 0


@image.command("prune")
@_cache
@_timeout
def prune(**options: Any) -> int:
    """Removes images of which there is a newer one, and what downloads and killed processes left."""
    _show_removed(images.prune(**options))
    return 0


def _show_removed(removed: Sequence[images.Image]) -> None:
    for one in removed:
        click.echo(f"removed: {one.name} {one.path}")
    if not removed:
        click.echo("There was nothing to remove.")

