# SPDX-License-Identifier: Apache-2.0
"""`python -m applevz images`: images by name, for those who type."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .._host.cloud_init import seed_files
from ..errors import InvalidArgumentError, make, make_posix
from .building import build_debian, building_task
from .catalog import architecture_argument
from .image import Image
from .importing import import_file
from .progress_line import Line
from .pulling import pull
from .removal import list_images, prune_images, remove_images
from .task import Task

__all__ = ["add_image_arguments", "image_command"]

def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pull", metavar="NAME", help="download an image, by a name like debian:13 or an address")
    what.add_argument("--import", dest="file", metavar="FILE", help="make an image of a file: qcow2, vmdk, raw.xz, …")
    what.add_argument("--build-debian", metavar="RELEASE", help="make a Debian of its packages, as trixie or 13")
    what.add_argument("--list", action="store_true", help="list the images that are there")
    what.add_argument("--remove", metavar="NAME", help="remove the images of that name")
    what.add_argument("--prune", action="store_true", help="remove those of which there is a newer one, and leftovers")
    parser.add_argument("--architecture", metavar="NAME", help="x86_64 or aarch64 (this host's for --pull)")
    parser.add_argument("--checksum", metavar="SUM", help="what the file must have, as sha256:…; needed for an address")
    parser.add_argument("--offline", action="store_true", help="take it from the cache, or not at all")
    parser.add_argument("--refresh", action="store_true", help="ask whether there is a newer one, or make it again")
    parser.add_argument("--keyring", metavar="FILE", help="keys of PGP, for the signature of the checksums")
    parser.add_argument("--require-signature", action="store_true", help="take none whose signature was not checked")
    parser.add_argument("--catalog", metavar="FILE", help="a catalog in place of the package's own")
    parser.add_argument("--cache", metavar="DIR", help="a folder in place of this user's cache")
    parser.add_argument("--maximum-size", default="256GiB", metavar="SIZE", help="of the guest's disk (256GiB)")
    parser.add_argument("--maximum-data", default="32GiB", metavar="SIZE", help="on this host's disk (32GiB)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="that the whole may take (no limit)")
    made = parser.add_argument_group("for --build-debian")
    made.add_argument("--package", action="append", default=[], metavar="NAME", help="one more; can be repeated")
    made.add_argument("--boot", default="kernel", metavar="HOW", help="kernel, or efi: by its firmware (kernel)")
    made.add_argument("--size", default="2GiB", metavar="SIZE", help="of the guest's disk (2GiB)")
    made.add_argument("--mirror", metavar="URL", help="where the packages are (mmdebstrap's choice)")
    made.add_argument("--user-data", metavar="FILE", help="what cloud-init does at the first boot, as #cloud-config")
    made.add_argument("--without-guest-agent", action="store_true", help="leave this package's agent out")
    made.add_argument("--name", metavar="NAME", help="what it is listed as")


def image_command(arguments: argparse.Namespace) -> None:
    if arguments.pull is not None:
        with Line() as line:
            image = pull(
                Task(arguments.timeout, line.show, arguments.pull),
                arguments.pull,
                architecture=arguments.architecture,
                checksum=arguments.checksum,
                mirrors=(),
                name=None,
                user=None,
                offline=arguments.offline,
                refresh=arguments.refresh,
                keyring=arguments.keyring,
                require_signature=arguments.require_signature,
                maximum_size=arguments.maximum_size,
                maximum_data=arguments.maximum_data,
                silence=60.0,
                catalog=arguments.catalog,
                cache=arguments.cache,
            )
        if image.signed_by is None:
            print(f"No signature was checked: {image.unsigned_reason}.", file=sys.stderr)
        print(image.path)
    elif arguments.file is not None:
        with Line() as line:
            image = import_file(
                Task(arguments.timeout, line.show, arguments.file),
                arguments.file,
                file_format=None,
                name=None,
                architecture=arguments.architecture,
                user=None,
                boot="efi",
                checksum=arguments.checksum,
                backing_folders=(),
                maximum_size=arguments.maximum_size,
                maximum_data=arguments.maximum_data,
                cache=arguments.cache,
            )
        print(image.path)
    elif arguments.build_debian is not None:
        _build(arguments)
    elif arguments.remove is not None:
        task = Task(arguments.timeout, None, arguments.remove)
        _show_removed(remove_images(task, arguments.remove, arguments.architecture, arguments.cache))
    elif arguments.prune:
        _show_removed(prune_images(Task(arguments.timeout, None, "pruning"), arguments.cache))
    else:
        _show(list_images(arguments.cache))


def _build(arguments: argparse.Namespace) -> None:
    processor = architecture_argument(arguments.architecture)
    if processor != architecture_argument(None):
        reason = "A Debian is made for this host's processor."
        raise make(InvalidArgumentError, f"architecture is {processor!r}.", reason, "Leave it out.")
    with Line() as line:
        image = build_debian(
            building_task(arguments.timeout, line.show, arguments.build_debian),
            arguments.build_debian,
            packages=arguments.package,
            seed=None if arguments.user_data is None else _seed(arguments.user_data),
            mirror=arguments.mirror,
            size=arguments.size,
            guest_agent=not arguments.without_guest_agent,
            boot=arguments.boot,
            name=arguments.name,
            refresh=arguments.refresh,
            cache=arguments.cache,
        )
    print(image.path)


def _seed(path: str) -> Mapping[str, bytes]:
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise make_posix(error, f"The user data {path!r} cannot be read.") from error
    except ValueError as error:
        reason = "It is no text in UTF-8."
        raise make(InvalidArgumentError, f"The user data {path!r} cannot be used.", reason) from error
    return seed_files(text, None, None, (), (), (), False)


def _show(images: Sequence[Image]) -> None:
    for image in images:
        day = time.strftime("%Y-%m-%d", time.gmtime(image.made))
        mebibytes = f"{image.size / (1 << 20):.0f} MiB"
        print(f"{image.name:<24}  {image.architecture or '-':<8}  {mebibytes:>12}  {day}  {image.path}")


def _show_removed(images: Sequence[Image]) -> None:
    for image in images:
        print(f"removed: {image.name} {image.path}")
    if not images:
        print("There was nothing to remove.")
