# SPDX-License-Identifier: Apache-2.0
"""Images from elsewhere: found in a catalog or named by an address, downloaded, verified, converted, kept."""

from __future__ import annotations

import fnmatch
import os
import re
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .._values.arguments import PathLike, boolean, shown, wrong_type
from .._values.arguments import path as path_argument
from .._values.arguments import seconds as seconds_argument
from .._values.sizes import Size
from ..errors import DownloadError, ImageNotFoundError, InvalidArgumentError, InvalidDiskImageError, make
from .catalog import Wanted, architecture_argument, wanted_image
from .chains import Chain, open_regular
from .checksums import LONGEST_FILE, Checksum, checksum_argument, checksums_in
from .conversion import Limits
from .downloads import download, fetch
from .image import Image
from .importing import convert_chain, hash_file, limits_argument, name_of_file, path_of_file_url
from .signatures import Verdict, check_signature
from .store import Store, image_name
from .task import Task
from .transport import WITHOUT_DOWNLOAD, check_url

__all__ = ["pull"]

_LINK: Final = re.compile(rb"""href\s*=\s*["']?([^"'>\s]{1,400})""", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|file:")


@dataclass(frozen=True)
class _Found:
    """What is to be downloaded, and how sure that is."""

    urls: list[str]
    checksum: Checksum
    signed_by: str | None
    unsigned_reason: str | None


def pull(
    task: Task,
    source: str,
    *,
    architecture: str | None,
    checksum: str | None,
    mirrors: Sequence[str],
    name: str | None,
    user: str | None,
    offline: bool,
    refresh: bool,
    keyring: PathLike | None,
    require_signature: bool,
    maximum_size: Size,
    maximum_data: Size,
    silence: float,
    catalog: PathLike | None,
    cache: PathLike | None,
) -> Image:
    """See `applevz.images.pull`."""
    if not isinstance(source, str):
        raise wrong_type("source", source, "text (str)")
    if user is not None and not isinstance(user, str):
        raise wrong_type("user", user, "text (str)")
    wanted_checksum = None if checksum is None else checksum_argument("checksum", checksum)
    limits = limits_argument(maximum_size, maximum_data)
    boolean("offline", offline)
    boolean("refresh", refresh)
    boolean("require_signature", require_signature)
    quiet = seconds_argument("silence", silence)
    if not quiet:
        suggestion = "Give a number of seconds that is more than 0."
        raise make(InvalidArgumentError, f"silence is {silence!r}.", "", suggestion)
    keys = None if keyring is None else os.fsdecode(path_argument("keyring", keyring))
    if keys is not None:
        os.close(open_regular(keys, f"The keyring {keys!r}"))
    if _SCHEME.match(source):
        plan: _Plan = _AddressPlan(source, architecture, wanted_checksum, mirrors, name, user)
    else:
        if name is not None or mirrors:
            field, value = ("name", name) if name is not None else ("mirrors", mirrors)
            reason = "An image of the catalog has one already."
            raise make(InvalidArgumentError, f"{field} is {shown(value)}, for {source!r}.", reason, "Leave it out.")
        wanted = wanted_image(source, architecture, catalog)
        plan = _CatalogPlan(wanted, wanted_checksum, user, keys, require_signature)
    store = Store(cache)
    return _pull(task, store, plan, offline, refresh, limits, quiet)


class _Plan:
    """How one source is found. `name`, `architecture` and `user` are those of the image."""

    name: str
    version: str | None = None
    architecture: str | None
    user: str | None
    boot = "efi"
    file: str | None = None
    """The path of a source that is a file of this host."""

    def is_wanted(self, image: Image) -> bool:
        """Whether an image that is there already is what is meant."""
        raise NotImplementedError

    def find(self, task: Task, silence: float) -> _Found:
        raise NotImplementedError

    @property
    def lock_name(self) -> str:
        return f"{self.name} {self.architecture}"


class _AddressPlan(_Plan):
    def __init__(
        self,
        source: str,
        architecture: str | None,
        checksum: Checksum | None,
        mirrors: Sequence[str],
        name: str | None,
        user: str | None,
    ) -> None:
        self.file = path_of_file_url("source", source) if source.startswith("file:") else None
        if self.file is None:
            check_url("source", source)
        elif mirrors:
            reason = f"{shown(source)} is a file of this host, which has no other address."
            raise make(InvalidArgumentError, f"mirrors is {shown(mirrors)}.", reason, "Leave it out.")
        if isinstance(mirrors, str | bytes):
            raise wrong_type("mirrors", mirrors, "a list of addresses")
        for index, url in enumerate(mirrors):
            if not isinstance(url, str):
                raise wrong_type(f"mirrors[{index}]", url, "text (str)")
            check_url(f"mirrors[{index}]", url)
        self._urls = [source, *mirrors]
        if checksum is None:
            raise make(
                InvalidArgumentError,
                "checksum is None.",
                f"Without one nobody knows whether {shown(source)} gives out what is meant.",
                'Give that of the file, as "sha256:…". Its publisher tells it.',
            )
        self._checksum = checksum
        path = self.file or urllib.parse.unquote(urllib.parse.urlsplit(source).path)
        self.name = name_of_file(path) if name is None else image_name("name", name)
        self.architecture = None if architecture is None else architecture_argument(architecture)
        self.user = user

    def is_wanted(self, image: Image) -> bool:
        return image.checksum == str(self._checksum)

    def find(self, task: Task, silence: float) -> _Found:
        return _Found(self._urls, self._checksum, None, "the checksum was given with the address")


class _CatalogPlan(_Plan):
    def __init__(
        self, wanted: Wanted, checksum: Checksum | None, user: str | None, keyring: str | None, require_signature: bool
    ) -> None:
        self._wanted = wanted
        self._checksum = checksum
        self._require_signature = require_signature
        self._keyrings = [keyring] if keyring else [wanted.filled(one) for one in wanted.distribution.keyrings]
        self.name = wanted.name
        self.version = wanted.version
        self.architecture = wanted.architecture
        self.user = wanted.distribution.user if user is None else user
        self.boot = wanted.distribution.boot

    def is_wanted(self, image: Image) -> bool:
        is_right = self._checksum is None or image.checksum == str(self._checksum)
        return is_right and not (self._require_signature and image.signed_by is None)

    def find(self, task: Task, silence: float) -> _Found:
        folders = [self._wanted.filled(folder) for folder in self._wanted.distribution.folders]
        for folder in folders:
            check_url("folders", folder)
        problems: list[Exception] = []
        for folder in folders:
            try:
                return self._find_in(task, folder, folders, silence)
            except (DownloadError, InvalidDiskImageError) as error:  # noqa: PERF203  # another folder may do
                problems.append(error)
        if len(problems) == 1:
            raise problems[0]
        reasons = "; ".join(str(getattr(error, "failure_reason", None) or error).rstrip(".") for error in problems)
        raise make(
            DownloadError,
            f"No server tells what {self.name!r} is.",
            f"{reasons}.",
            f"Look whether this host reaches a server, or call again later. {WITHOUT_DOWNLOAD}",
        )

    def _find_in(self, task: Task, folder: str, folders: list[str], silence: float) -> _Found:
        """What one folder has. The checksum is that of this folder; the file may come from any of them."""
        wanted = self._wanted
        kind = wanted.distribution
        listed = None
        if kind.index is not None:
            page, _ = fetch(task, [urllib.parse.urljoin(folder, kind.index)], LONGEST_FILE, silence)
            listed = [urllib.parse.unquote(link.decode("ascii", "replace")) for link in _LINK.findall(page)]
            listed = [link.removeprefix("./") for link in listed]
        patterns = [wanted.filled(pattern) for pattern in kind.files]
        is_by_file = "{file}" in kind.checksums
        file = _newest(patterns, listed, folder) if is_by_file else ""
        sums = _newest([wanted.filled(kind.checksums, file)], None if is_by_file else listed, folder)
        data, source = fetch(task, [folder + urllib.parse.quote(sums)], LONGEST_FILE, silence)
        verdict = self._verdict(task, folder, file, data, source, silence)
        known = checksums_in(verdict.data, source)
        if not is_by_file:
            file = _newest(patterns, list(known), source)
        found = known.get(file) or (known.get("") if is_by_file else None)
        if found is None:
            raise make(InvalidDiskImageError, f"The file of checksums {source} has none of {file}.")
        if self._checksum is not None and found != self._checksum:
            raise make(
                InvalidDiskImageError,
                f"checksum is {self._checksum}, and {source} has {found}.",
                f"The file is {file}.",
                "Leave the checksum out for the image that is given out now, or give the address of the other one.",
            )
        quoted = urllib.parse.quote(file)
        urls = [folder + quoted, *(other + quoted for other in folders if other != folder)]
        return _Found(urls, found, verdict.signed_by, verdict.unchecked)

    def _verdict(self, task: Task, folder: str, file: str, data: bytes, source: str, silence: float) -> Verdict:
        kind = self._wanted.distribution
        if kind.signature is None:
            verdict = Verdict(data, None, f"{kind.name} signs no checksums")
        elif kind.signature == "inline":
            verdict = check_signature(task, data, None, self._keyrings, source)
        else:
            address = folder + urllib.parse.quote(self._wanted.filled(kind.signature, file))
            signature, _ = fetch(task, [address], LONGEST_FILE, silence)
            verdict = check_signature(task, data, signature, self._keyrings, source)
        if self._require_signature and verdict.signed_by is None:
            raise make(
                InvalidDiskImageError,
                f"The signature of {source} was not checked, and require_signature is True.",
                f"It was not, since {verdict.unchecked}.",
                "Install gpgv and the distribution's keyring, name a keyring, or go without.",
            )
        return verdict


def _newest(patterns: Sequence[str], names: Sequence[str] | None, place: str) -> str:
    """The name that the first pattern with one has; of several that with the highest numbers in it."""
    if names is None:
        if len(patterns) == 1 and "*" not in patterns[0]:
            return patterns[0]
        words = " or ".join(map(repr, patterns)) or "no name"
        suggestion = "Give that distribution an index in the catalog, or one name without *."
        raise make(InvalidArgumentError, f"catalog has {words}, and no list to look it up in.", "", suggestion)
    for pattern in patterns:
        regular = re.compile(fnmatch.translate(pattern))
        found = [name for name in names if regular.match(name) and re.fullmatch(r"[A-Za-z0-9._+-]{1,200}", name)]
        if found:
            return max(found, key=_numbers)
    reason = f"There is no {' and no '.join(patterns)}."
    suggestion = "The distribution may no longer give that version out: ask for another one."
    raise make(DownloadError, f"What is wanted is not in {place}.", reason, suggestion)


def _numbers(name: str) -> list[tuple[int, str]]:
    return [(int(part[:18]), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name) if part]


def _pull(
    task: Task, store: Store, plan: _Plan, offline: bool, refresh: bool, limits: Limits, silence: float
) -> Image:
    begin = time.time()

    def cached(since: float) -> Image | None:
        images = store.named(plan.name, plan.architecture)
        return next((image for image in images if image.made >= since and plan.is_wanted(image)), None)

    if (offline or not refresh) and (found := cached(0)):
        return found
    if offline:
        raise make(
            ImageNotFoundError,
            f"{plan.name!r} is not in the cache, and offline is True.",
            f"{str(store.folder)!r} has no such image{f' for {plan.architecture}' if plan.architecture else ''}.",
            "Pull it once with a network.",
        )
    with store.lock(task, plan.lock_name):
        # Another one may have made it while this one waited.
        if found := cached(begin if refresh else 0):
            return found
        sought = plan.find(task, silence)
        key = f"{plan.name} {plan.architecture} {sought.checksum}"
        image = store.by_key(key)
        if image is not None and plan.is_wanted(image):
            # One that was given out before another one is the newest again.
            return image if store.named(plan.name, plan.architecture)[0] == image else store.renew(image)
        return _make(task, store, plan, sought, key, limits, silence)


def _make(
    task: Task, store: Store, plan: _Plan, sought: _Found, key: str, limits: Limits, silence: float
) -> Image:
    source = sought.urls[0]
    with store.work(plan.lock_name) as work:
        path = store.download_path(plan.lock_name, sought.checksum)
        if plan.file is None:
            download(task, sought.urls, path, sought.checksum, limits.data, silence)
        with Chain(plan.file or str(path), None, None) as chain:
            if plan.file is not None:
                hash_file(task, plan.file, chain.links[0].number, sought.checksum)
            disk = store.disk_in(work)
            size = convert_chain(task, chain, source.rpartition("/")[2] or source, work, disk, limits)
        image = Image(
            path=str(disk),
            name=plan.name,
            version=plan.version,
            architecture=plan.architecture,
            size=size,
            checksum=str(sought.checksum),
            source=source,
            user=plan.user,
            boot=plan.boot,
            signed_by=sought.signed_by,
            unsigned_reason=sought.unsigned_reason,
            made=time.time(),
        )
        made = store.publish(work, image, key)
        store.remove_download(path)
        return made
