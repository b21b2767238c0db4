# SPDX-License-Identifier: Apache-2.0
"""Images made here: a Debian of its packages, by mmdebstrap, whose bytes hang on the recipe and the mirror alone.

mmdebstrap makes the tree and genext2fs its file system, with every date that is newer than `DATE` set to it. e2fsprogs
make ext4 of it, and `_set_dates` sets what they leave to chance. For EFI it is put on a disk with a boot loader
(`efi_disks`). No step takes root, unless mmdebstrap does.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import tarfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from .._host.guest_agent import agent_program
from .._host.guest_services import PROGRAM, SYSTEMD
from .._values.arguments import PathLike, boolean, items, shown, wrong_type
from .._values.sizes import Size
from .._values.sizes import size as size_argument
from ..errors import Error, InvalidArgumentError, make, make_posix
from . import efi_disks
from .bootstrapping import DISK, DONE, FILE_SYSTEM, bootstrap
from .catalog import architecture_argument, read_catalog
from .image import Image
from .makers import DATE, check_makers, run_maker
from .store import Store, image_name
from .task import Progress, Task

__all__ = ["build_debian", "building_task"]

# A part of the recipe: another number makes all images anew.
_RECIPE: Final = 2
_MAKERS: Final = {"mmdebstrap": "mmdebstrap", "genext2fs": "genext2fs", "resize2fs": "e2fsprogs"}
_PACKAGES: Final = ("systemd-sysv", "udev", "initramfs-tools", "iproute2", "kmod", "dbus")
_NAME_OF_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]{1,127}")
_RELEASE: Final = re.compile(r"[a-z][a-z0-9-]{1,40}")
_MIRROR: Final = re.compile(r"(https?|file)://?[!-~]{1,400}")
# What is a guest's of a seed. How it gets the agent is that of a disk.
_SEED: Final = {"meta-data", "network-config", "user-data"}
# The other locales are left out with their words.
_CLOUD_INIT: Final = b"datasource_list: [NoCloud, None]\nlocale: C.UTF-8\n"
_SMALLEST: Final = 512 << 20
# The first virtio console comes with a module: until then the console is tty0.
_COMMAND_LINE: Final = "root={} rw console=tty0 console=hvc0 quiet"
_SUPERBLOCK: Final = 1024
# What hangs on who makes the system: apt's folders belong to its own user if that one can reach them, and the journal's
# to a group, but not by fakechroot. In the guest apt and systemd set both.
_EVEN: Final = (
    "/var/lib/apt/lists/partial uid 0",
    "/var/cache/apt/archives/partial uid 0",
    "/var/log/journal gid 0",
    "/var/log/journal mode 040755",
)


def building_task(timeout: float | None, progress: Callable[[Progress], object] | None, release: str) -> Task:
    return Task(timeout, progress, f"Debian {release}", suggestion="Call again with more time: nothing was kept.")


def build_debian(
    task: Task,
    release: str,
    *,
    packages: Sequence[str],
    seed: Mapping[str, bytes] | None,
    mirror: str | None,
    size: Size,
    guest_agent: bool,
    boot: str,
    name: str | None,
    refresh: bool,
    cache: PathLike | None,
) -> Image:
    """See `applevz.images.build_debian`. `seed` are the files of a seed."""
    recipe = _Recipe(release, packages, seed, mirror, size, guest_agent, boot)
    named = f"debian-{recipe.release}-made-here" if name is None else image_name("name", name)
    boolean("refresh", refresh)
    store = Store(cache)
    key = f"build {named} {recipe.text}"
    begin = time.time()

    def cached(since: float) -> Image | None:
        found = store.by_key(key)
        return found if found and found.made >= since else None

    if not refresh and (found := cached(0)):
        return found
    check_makers(recipe.makers)
    is_direct = recipe.boot == "kernel"
    lock_name = f"{named} {recipe.architecture}"
    with store.lock(task, lock_name):
        if found := cached(begin if refresh else 0):
            return found
        with store.work(lock_name) as work:
            try:
                _build(task, recipe, work, store.disk_in(work))
            except Error:
                raise
            except OSError as error:
                raise make_posix(error, f"The image {named!r} cannot be made.", "Make room on that disk.") from error
            image = Image(
                path=str(store.disk_in(work)),
                name=named,
                version=recipe.release,
                architecture=recipe.architecture,
                size=recipe.size,
                checksum=None,
                source="mmdebstrap",
                user=None,
                boot=recipe.boot,
                signed_by=None,
                unsigned_reason="it was made here; apt checked the packages",
                made=time.time(),
                kernel=str(work / "kernel") if is_direct else None,
                initial_ramdisk=str(work / "initial_ramdisk") if is_direct else None,
                command_line=_COMMAND_LINE.format("/dev/vda") if is_direct else None,
            )
            published = store.publish(work, image, key)
    task.tell("disk", DONE, DONE)
    return published


class _Recipe:
    """All that an image is made of, but for the mirror's packages."""

    def __init__(
        self,
        release: str,
        packages: Sequence[str],
        seed: Mapping[str, bytes] | None,
        mirror: str | None,
        size: Size,
        guest_agent: bool,
        boot: str,
    ) -> None:
        if not isinstance(release, str):
            raise wrong_type("release", release, "text (str)")
        others = read_catalog(None)["debian"].versions.get(release, [release])
        self.release = others[0]
        if not _RELEASE.fullmatch(self.release):
            raise make(InvalidArgumentError, f"release is {shown(release)}.", "", 'Give a name like "trixie", or "13".')
        for index, package in enumerate(items("packages", packages, (str,))):
            if not _NAME_OF_PACKAGE.fullmatch(package):
                suggestion = "Give the name of a package, without a version."
                raise make(InvalidArgumentError, f"packages[{index}] is {shown(package)}.", "", suggestion)
        if mirror is not None and not isinstance(mirror, str):
            raise wrong_type("mirror", mirror, "text (str)")
        if mirror is not None and not _MIRROR.fullmatch(mirror):
            suggestion = 'Give an address like "https://host/debian".'
            raise make(InvalidArgumentError, f"mirror is {shown(mirror)}.", "", suggestion)
        self.mirror = mirror
        self.size = size_argument("size", size)
        if self.size < _SMALLEST or self.size % 4096:
            reason = f"A Debian takes {_SMALLEST} bytes or more, in blocks of 4096."
            raise make(InvalidArgumentError, f"size is {self.size} bytes.", reason, 'Give one like "2GiB".')
        if boot not in ("kernel", "efi"):
            raise make(InvalidArgumentError, f"boot is {shown(boot)}.", "", 'Give "kernel" or "efi".')
        self.boot = boot
        self.makers = {**_MAKERS, **(efi_disks.MAKERS if boot == "efi" else {})}
        self.architecture = architecture_argument(None)
        debian = read_catalog(None)["debian"].architectures[self.architecture]
        more = [*(("cloud-init",) if seed is not None else ()), *(("systemd-boot-efi",) if boot == "efi" else ())]
        self.packages = sorted({*_PACKAGES, *more, *packages, f"linux-image-cloud-{debian}"})
        self.debian_architecture = debian
        self.files = self._files(seed, boolean("guest_agent", guest_agent))
        digest = hashlib.sha256(self.files).hexdigest()
        values = [_RECIPE, self.release, self.packages, self.mirror, self.size, self.architecture, boot, digest]
        self.text = json.dumps(values)
        self.identifier = uuid.uuid5(uuid.NAMESPACE_URL, self.text)

    def _files(self, seed: Mapping[str, bytes] | None, guest_agent: bool) -> bytes:
        """What the tree gets besides its packages, as an archive of tar."""
        files: dict[str, tuple[int, bytes]] = {
            "etc/hostname": (0o644, b"debian\n"),
            "etc/fstab": (0o644, b""),
            # Each first boot is one: the identifier is made then.
            "etc/machine-id": (0o644, b""),
        }
        links: dict[str, str] = {}
        if "cloud-init" in self.packages:
            files["etc/cloud/cloud.cfg.d/90-applevz.cfg"] = 0o644, _CLOUD_INIT
        for name in sorted(_SEED & (seed or {}).keys()):
            files[f"var/lib/cloud/seed/nocloud/{name}"] = 0o600, (seed or {})[name]
        if guest_agent:
            files[PROGRAM] = 0o755, agent_program()
            files[SYSTEMD.path] = SYSTEMD.mode, SYSTEMD.text.encode()
            links[SYSTEMD.link] = SYSTEMD.target
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
            folders = {str(folder) for path in (*files, *links) for folder in Path(path).parents} - {"."}
            for path in sorted({*folders, *files, *links}):
                member = tarfile.TarInfo(f"./{path}")
                member.mtime = DATE
                data = b""
                if path in links:
                    member.type, member.linkname = tarfile.SYMTYPE, links[path]
                elif path in files:
                    member.mode, data = files[path]
                    member.size = len(data)
                else:
                    member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member, io.BytesIO(data))
        return archive.getvalue()


def _build(task: Task, recipe: _Recipe, work: Path, disk: Path) -> None:
    """Makes the disk, and beside it the kernel and the initial RAM disk if they boot it."""
    kernel, initial_ramdisk = work / "kernel", work / "initial_ramdisk"
    copies = {"boot/vmlinuz-*": kernel, "boot/initrd.img-*": initial_ramdisk}
    if recipe.boot == "kernel":
        _make_system(task, recipe, disk, copies)
        _make_file_system(task, recipe, disk, recipe.size)
        return
    system, boot, program = work / "system", work / "boot", work / "boot_program"
    copies[f"usr/lib/systemd/boot/efi/{efi_disks.boot_program(recipe.architecture)}"] = program
    _make_system(task, recipe, system, copies)
    root = efi_disks.root_identifier(recipe.identifier)
    command_line = _COMMAND_LINE.format(f"PARTUUID={root}")
    files = efi_disks.BootFiles(program, kernel, initial_ramdisk)
    efi_disks.make_boot_partition(task, boot, recipe.architecture, files, command_line, recipe.identifier)
    layout = efi_disks.Layout(recipe.size, boot.stat().st_size, recipe.identifier)
    _make_file_system(task, recipe, system, layout.system_size)
    task.tell("disk", DISK, DONE)
    efi_disks.make_disk(task, disk, layout, boot, system)
    for path in (system, boot, *copies.values()):
        path.unlink()


def _make_system(task: Task, recipe: _Recipe, image: Path, copies: Mapping[str, Path]) -> None:
    files = image.with_name("files.tar")
    files.write_bytes(recipe.files)
    bootstrap(
        task,
        image,
        files,
        copies,
        release=recipe.release,
        architecture=recipe.debian_architecture,
        packages=recipe.packages,
        mirror=recipe.mirror,
    )
    files.unlink()


def _make_file_system(task: Task, recipe: _Recipe, image: Path, size: int) -> None:
    """Makes ext4 of that size of what mmdebstrap made."""
    task.tell("disk", FILE_SYSTEM, DONE)
    needed = image.stat().st_size
    if size < needed:
        suggestion = f"Give {recipe.size + needed - size} bytes, or more for what the guest writes."
        raise make(
            InvalidArgumentError, f"size is {recipe.size} bytes.", "The packages do not have room there.", suggestion
        )
    with open(image, "r+b") as file:
        file.truncate(size)
    # First of all an identifier: a program that finds none makes one up.
    words = ["-U", str(recipe.identifier), "-L", "debian", "-c", "0", "-i", "0"]
    run_maker(task, "tune2fs", "tune2fs", *words, str(image))
    for change in _EVEN:
        run_maker(task, "debugfs", "debugfs", "-w", "-R", f"set_inode_field {change}", str(image))
    _check(task, image)
    run_maker(task, "resize2fs", "resize2fs", str(image))
    # Large inodes have dates behind 2038.
    run_maker(task, "tune2fs", "tune2fs", "-I", "256", str(image))
    features = "extents,uninit_bg,has_journal,sparse_super,large_file,huge_file,extra_isize"
    run_maker(task, "tune2fs", "tune2fs", "-O", features, str(image))
    _check(task, image)
    _set_dates(image)


def _check(task: Task, disk: Path) -> None:
    # 1: something was put right, as it has to be after each of these changes.
    run_maker(task, "e2fsck", "e2fsck", "-f", "-y", str(disk), good=(0, 1))


def _set_dates(disk: Path) -> None:
    """Sets the dates in each copy of the superblock, which programs set to the moment (ext4, "The Super Block")."""
    with open(disk, "r+b") as file:
        first = os.pread(file.fileno(), 1024, _SUPERBLOCK)
        block = 1024 << struct.unpack("<I", first[24:28])[0]
        blocks, begin, group_length = (struct.unpack("<I", first[at : at + 4])[0] for at in (4, 20, 32))
        for group in range(-(-(blocks - begin) // group_length)):
            place = _SUPERBLOCK if group == 0 else (begin + group * group_length) * block
            copy = os.pread(file.fileno(), 1024, place)
            if copy[56:58] != b"\x53\xef" or copy[104:120] != first[104:120]:
                continue  # not every group has one
            # Last mounted, last written, last checked; when it was made.
            for at in (44, 48, 64, 264):
                os.pwrite(file.fileno(), struct.pack("<I", 0 if at == 44 else DATE), place + at)
            os.pwrite(file.fileno(), bytes(16), place + 236)  # the seed of hashes, which no folder uses
