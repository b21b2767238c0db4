# SPDX-License-Identifier: Apache-2.0
"""The cache: a folder of this user's, in which images are whole or not there, whoever is killed when.

    disks/KEY/          an image: disk.raw, and image.json, which tells what it is
    downloads/          beginnings of files, by their checksum; each goes on where it ended
    states/             saved states of guests that were launched, by what decided what they are
    work/               what is being made, each in a folder of its own, which then becomes that of an image
    locks/              who makes, changes or removes which image; a lock ends with its process

A folder becomes an image by one rename. What a killed process leaves in `work` is removed by the next one that has the
same lock, and by `prune`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from .._values.arguments import PathLike, shown, wrong_type
from .._values.arguments import path as path_argument
from ..errors import Error, ImageNotFoundError, InvalidArgumentError, NotSupportedError, make, make_posix
from .checksums import Checksum
from .image import Image, image_of_json, json_of_image
from .task import Task

__all__ = ["DISK_NAME", "Store", "image_name"]

DISK_NAME: Final = "disk.raw"
_DESCRIPTION: Final = "image.json"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@-]{0,127}")
_LONGEST_DESCRIPTION: Final = 64 << 10


def image_name(field: str, value: str) -> str:
    """The name of an image, by which it is listed and removed."""
    if not isinstance(value, str):
        raise wrong_type(field, value, "text (str)")
    if not _NAME.fullmatch(value):
        raise make(
            InvalidArgumentError,
            f"{field} is {shown(value)}, which cannot be the name of an image.",
            "",
            'Give up to 128 letters, digits and characters of "._:+@-", and a letter or digit first.',
        )
    return value


class Store:
    """The cache in a folder, which is made if it is not there."""

    def __init__(self, folder: PathLike | None) -> None:
        self.folder = _default_folder() if folder is None else Path(os.fsdecode(path_argument("cache", folder)))
        with self.errors(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_owner(self.folder)
            for name in ("disks", "downloads", "states", "work", "locks"):
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)

    @contextlib.contextmanager
    def errors(self, path: Path) -> Iterator[None]:
        try:
            yield
        except Error:
            raise
        except OSError as error:
            # Of two names the second is what was to be replaced.
            names = [name for name in (error.filename2, error.filename) if isinstance(name, str)]
            where = Path(names[0]) if names else path
            because = "" if where == self.folder else f", because of {str(where)!r}"
            raise make_posix(
                error,
                f"The cache {str(self.folder)!r} cannot be used{because}.",
                "Move that folder away: a file has its name."
                if isinstance(error, IsADirectoryError)
                else "Name a folder that this user may write to as cache, with room on its disk.",
                os.fsencode(where),
            ) from error

    # ---- Locks ----

    @contextlib.contextmanager
    def lock(self, task: Task, name: str, stage: str | None = None) -> Iterator[None]:
        """Has the image of that name to itself, among all processes and threads of this user. If another one has it,
        `stage` is told before it is waited for."""
        try:
            import filelock
        except ImportError:
            raise _missing("filelock") from None
        lock = filelock.FileLock(self.folder / "locks" / f"{_key(name)}.lock", mode=0o600, thread_local=False)
        with self.errors(self.folder / "locks"):
            while True:
                try:
                    lock.acquire(timeout=0)
                    break
                except filelock.Timeout:
                    if stage is not None:
                        task.tell(stage, 0, None)
                        stage = None
                    task.pause(0.05)
        try:
            self._remove_leftovers(name)
            yield
        finally:
            lock.release()

    def _remove_leftovers(self, name: str) -> None:
        for folder in (self.folder / "work").glob(f"{_key(name)}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    # ---- What is being made ----

    @contextlib.contextmanager
    def work(self, name: str) -> Iterator[Path]:
        """A folder for what is being made, under the lock of that name. It is gone when this ends."""
        with self.errors(self.folder / "work"):
            folder = Path(tempfile.mkdtemp(prefix=f"{_key(name)}-", dir=self.folder / "work"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def download_path(self, name: str, checksum: Checksum) -> Path:
        """Where a file is downloaded to under the lock of that name."""
        return self.folder / "downloads" / f"{_key(name)}-{checksum.algorithm}-{checksum.digest}"

    @staticmethod
    def remove_download(path: Path) -> None:
        for name in (path, path.with_name(path.name + ".json")):
            name.unlink(missing_ok=True)

    def renew(self, image: Image) -> Image:
        """Makes an image the newest of its name."""
        folder = Path(image.path).parent
        with self.errors(folder):
            newest = replace(image, made=time.time())
            self._describe(folder, newest)
        return newest

    def _describe(self, folder: Path, image: Image) -> None:
        status = (folder / DISK_NAME).stat()
        values = json_of_image(image) | {"disk": [status.st_size, status.st_mtime_ns]}
        temporary = folder / f"{_DESCRIPTION}.new"
        temporary.write_text(json.dumps(values, indent=1))
        _synchronize(temporary)
        temporary.replace(folder / _DESCRIPTION)

    @staticmethod
    def disk_in(work: Path) -> Path:
        return work / DISK_NAME

    def publish(self, work: Path, image: Image, key: str) -> Image:
        """Makes what is in a folder of `work` an image, in place of one with the same key."""
        with self.errors(work):
            self._describe(work, image)
            for path in sorted(work.iterdir()):
                path.chmod(0o400)
                _synchronize(path)
            _synchronize(work)
            final = self._image_folder(key)
            if final.exists():
                self._remove_folder(final)
            # The folder stays that of `work` to the cleaning-up, which finds nothing there any more.
            work.rename(final)
            _synchronize(final.parent)
        found = self._read(final)
        if found is None:
            raise make_posix(OSError(errno.EIO, os.strerror(errno.EIO)), f"The image {str(final)!r} was changed.")
        return found

    # ---- What is there ----

    def _image_folder(self, key: str) -> Path:
        return self.folder / "disks" / _key(key)

    def by_key(self, key: str) -> Image | None:
        return self._read(self._image_folder(key))

    def at(self, path: str) -> Image | None:
        """The image whose disk has that path; None if it is the path of something else."""
        folder, name = os.path.split(os.path.realpath(path))
        if name != DISK_NAME or os.path.dirname(folder) != os.path.realpath(self.folder / "disks"):
            return None
        return self._read(self.folder / "disks" / os.path.basename(folder))

    def all(self) -> list[Image]:
        """All images that are whole, the newest of each name first."""
        with self.errors(self.folder / "disks"):
            folders = sorted((self.folder / "disks").iterdir())
        images = [image for folder in folders if (image := self._read(folder)) is not None]
        return sorted(images, key=lambda image: (image.name, image.architecture or "", -image.made))

    def named(self, name: str, architecture: str | None) -> list[Image]:
        """The images of that name, the newest first."""
        return [
            image
            for image in self.all()
            if image.name == name and (architecture is None or image.architecture == architecture)
        ]

    def _read(self, folder: Path) -> Image | None:
        """The image in a folder; None if it is not whole."""
        try:
            with open(folder / _DESCRIPTION, "rb") as file:
                values = json.loads(file.read(_LONGEST_DESCRIPTION))
            disk = values.pop("disk")
            status = (folder / DISK_NAME).lstat()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        # Whoever wrote to the disk changed its date: it is no longer what the description says.
        if not stat.S_ISREG(status.st_mode) or disk != [status.st_size, status.st_mtime_ns]:
            return None
        return image_of_json(json.dumps(values).encode(), str(folder / DISK_NAME))

    def remove(self, image: Image) -> None:
        """Removes an image: at first its name, at once, then its files."""
        with self.errors(Path(image.path)):
            self._remove_folder(Path(image.path).parent)

    def _remove_folder(self, folder: Path) -> None:
        gone = Path(tempfile.mkdtemp(prefix="gone-", dir=self.folder / "work"))
        with contextlib.suppress(FileNotFoundError):
            folder.rename(gone / folder.name)
        shutil.rmtree(gone, ignore_errors=True)

    def find(self, name: str, architecture: str | None) -> Sequence[Image]:
        """As `named`, but raises `ImageNotFoundError` if there is none."""
        found = self.named(image_name("name", name), architecture)
        if not found:
            names = sorted({image.name for image in self.all()})
            raise make(
                ImageNotFoundError,
                f"name is {name!r}, and there is no image of that name.",
                f"{str(self.folder)!r} has {', '.join(names[:20])}." if names else f"{str(self.folder)!r} has none.",
                "Give one that applevz.images.list() has.",
            )
        return found

    def damaged(self) -> list[Path]:
        """The folders of images that are not whole."""
        return [folder for folder in sorted((self.folder / "disks").iterdir()) if self._read(folder) is None]

    def prune(self, task: Task) -> list[Image]:
        """Removes images of which there is a newer one of the same name, and all that is no image. What another call
        works on stays."""
        gone: list[Image] = []
        with self.errors(self.folder):
            newest: set[tuple[str, str | None]] = set()
            for image in self.all():
                if (image.name, image.architecture) in newest:
                    self.remove(image)
                    gone.append(image)
                newest.add((image.name, image.architecture))
            for folder in self.damaged():
                self._remove_folder(folder)
            for kind in ("work", "downloads"):
                for path in sorted((self.folder / kind).iterdir()):
                    self._prune_leftover(task, path)
        return gone

    def remove_work(self, task: Task) -> None:
        """Removes what processes that were killed had begun to make."""
        with self.errors(self.folder / "work"):
            for path in sorted((self.folder / "work").iterdir()):
                self._prune_leftover(task, path)

    def _prune_leftover(self, task: Task, path: Path) -> None:
        """Removes it, if nobody has the lock of its name."""
        import filelock

        name = path.name.partition("-")[0]
        lock = filelock.FileLock(self.folder / "locks" / f"{name}.lock", mode=0o600, thread_local=False)
        task.check()
        with contextlib.suppress(filelock.Timeout), lock.acquire(timeout=0):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _key(name: str) -> str:
    """The name of a file for any name of an image: no two of them are the same, on any file system."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _default_folder() -> Path:
    try:
        import platformdirs
    except ImportError:
        raise _missing("platformdirs") from None
    return platformdirs.user_cache_path("applevz") / "images"


def _missing(package: str) -> Exception:
    return make(
        NotSupportedError,
        "No images can be kept.",
        f"The Python package {package} is not installed.",
        "Install it with the extra that needs it: pip install 'applevz[images]'.",
    )


def _check_owner(folder: Path) -> None:
    """Refuses a folder in which somebody else could put another disk in the place of one."""
    status = folder.stat()
    if status.st_uid != os.geteuid():
        reason = f"It belongs to the user {status.st_uid}, and this is the user {os.geteuid()}."
    elif status.st_mode & 0o022:
        reason = f"Other users may write to it: its mode is {stat.S_IMODE(status.st_mode):o}."
    else:
        return
    raise make(
        InvalidArgumentError,
        f"cache is {str(folder)!r}, which images cannot be kept in.",
        reason,
        "Name a folder of this user's own, or one that is not there yet.",
    )


def _synchronize(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
