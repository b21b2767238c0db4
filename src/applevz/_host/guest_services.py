# SPDX-License-Identifier: Apache-2.0
"""The guest's agent as a service of a system: its texts, which seeds have too, and how a system in a folder gets it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..errors import InvalidArgumentError, make, make_posix
from .guest_agent import agent_programs

__all__ = ["OPENRC", "PROGRAM", "SYSTEMD", "Service", "install"]

PROGRAM: Final = "usr/local/sbin/applevz-agent"


class Service(NamedTuple):
    """How one init system is told of the agent. All paths are below the root."""

    init: str
    path: str
    mode: int
    text: str
    link: str
    target: str


# Early and without what else a service depends on: the agent shows why a boot hangs. KillMode: whatever runs detached
# in the guest outlives another start of the agent, which ends all else itself.
SYSTEMD: Final = Service(
    "systemd",
    "etc/systemd/system/applevz-agent.service",
    0o644,
    f"""\
[Unit]
Description=Agent of applevz, by which the host runs programs here
DefaultDependencies=no
After=local-fs.target systemd-tmpfiles-setup.service
Conflicts=shutdown.target
Before=shutdown.target
StartLimitIntervalSec=0

[Service]
ExecStart=/{PROGRAM}
Restart=always
RestartSec=1
KillMode=process
OOMPolicy=continue
TasksMax=infinity
StandardInput=null

[Install]
WantedBy=sysinit.target
""",
    "etc/systemd/system/sysinit.target.wants/applevz-agent.service",
    "/etc/systemd/system/applevz-agent.service",
)
OPENRC: Final = Service(
    "OpenRC",
    "etc/init.d/applevz-agent",
    0o755,
    f"""\
#!/sbin/openrc-run
description="Agent of applevz, by which the host runs programs here"
supervisor=supervise-daemon
command=/{PROGRAM}
respawn_delay=1
respawn_max=0

depend() {{
    need localmount
    after bootmisc modules
}}
""",
    "etc/runlevels/default/applevz-agent",
    "/etc/init.d/applevz-agent",
)
# What tells of an init system: the first that is there.
_SIGNS: Final = (
    (SYSTEMD, ("usr/lib/systemd/systemd", "lib/systemd/systemd")),
    (OPENRC, ("sbin/openrc-run", "usr/sbin/openrc-run")),
)
_MACHINES: Final = {3: "x86 with 32 bits", 8: "MIPS", 21: "PowerPC", 22: "S/390", 40: "ARM with 32 bits", 62: "x86-64"}
_MACHINES[183], _MACHINES[243] = "arm64", "RISC-V"


def install(root: str | os.PathLike[str] = "/") -> list[str]:
    """Puts the agent into the system below `root`, as a service that each boot starts. Returns what was changed; a
    second time that is nothing. The agent is that for the system's processor.

    Raises `InvalidArgumentError` for a root that is none, has no init system that is known, or is for another
    processor, `NotSupportedError` if this installation has no agent, and `POSIXError`.
    """
    programs = agent_programs()
    try:
        with _Root(os.fsdecode(root)) as folder:
            service = _service_of(folder)
            program = _program_for(folder, programs)
            done = [folder.put(PROGRAM, program, 0o755), folder.put(service.path, service.text.encode(), service.mode)]
            done.append(folder.link(service.link, service.target))
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else os.fsdecode(root)
        suggestion = "Run it as root, on a root that can be written to."
        raise make_posix(error, f"The guest's agent cannot be installed: {name!r}.", suggestion) from error
    return [path for path in done if path is not None]


def _service_of(folder: _Root) -> Service:
    for service, signs in _SIGNS:
        if any(folder.has(sign) for sign in signs):
            return service
    looked = ", ".join(f"/{sign}" for _, signs in _SIGNS for sign in signs)
    raise make(
        InvalidArgumentError,
        f"The folder {folder.name!r} has no init system that is known.",
        f"There is none of {looked}.",
        "Name the root of a system with systemd or OpenRC; for another one print the agent with `guest-agent "
        "--export FILE`, and have its init start it.",
    )


def _program_for(folder: _Root, programs: list[bytes]) -> bytes:
    """The agent for the processor that the system's programs are for; this host's where they do not tell."""
    machines = [_machine_of(program[:20]) for program in programs]
    for name in ("usr/lib/systemd/systemd", "lib/systemd/systemd", "sbin/openrc-run", "bin/busybox", "bin/sh"):
        theirs = _machine_of(folder.begin_of(name, 20))
        if theirs is None:
            continue
        if theirs in machines:
            return programs[machines.index(theirs)]
        ours = " and ".join(_MACHINES.get(ours or 0, f"processor {ours}") for ours in machines)
        raise make(
            InvalidArgumentError,
            f"The system in {folder.name!r} is for {_MACHINES.get(theirs, f'the processor {theirs}')}.",
            f"/{name} is. This installation has agents for {ours} only.",
            "Run the command in an applevz that was installed for that processor.",
        )
    return programs[0]


def _machine_of(begin: bytes | None) -> int | None:
    if begin is None or len(begin) < 20 or begin[:4] != b"\x7fELF" or begin[5] not in (1, 2):
        return None
    machine: int = struct.unpack("<H" if begin[5] == 1 else ">H", begin[18:20])[0]
    return machine


class _Root:
    """A folder whose contents are a system's, perhaps of somebody who means harm: no name in it leads out of it.

    A link in it means what it would mean once the folder is the root. Links are followed by hand, by descriptors of
    folders that were reached without them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._root = -1

    def __enter__(self) -> _Root:
        self._root = os.open(self.name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    @contextlib.contextmanager
    def _folder(self, names: list[str], make_missing: bool) -> Iterator[tuple[int, list[str]]]:
        """The folder of that path, and its path without links. Missing ones are made if that is asked for."""
        stack, path = [os.dup(self._root)], list[str]()
        waiting, followed = list(reversed(names)), 0
        try:
            while waiting:
                name = waiting.pop()
                if name in ("", "."):
                    continue
                if name == "..":
                    if path:
                        path.pop()
                        os.close(stack.pop())
                    continue
                is_new = False
                try:
                    target: str | None = os.readlink(name, dir_fd=stack[-1])
                except FileNotFoundError:
                    if not make_missing:
                        raise
                    os.mkdir(name, 0o700, dir_fd=stack[-1])
                    target, is_new = None, True
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise
                    target = None
                if target is None:
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                    stack.append(os.open(name, flags, dir_fd=stack[-1]))
                    if is_new:
                        os.fchmod(stack[-1], 0o755)  # whatever the umask
                    path.append(name)
                    continue
                followed += 1
                if followed > 40:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), "/".join(names))
                if target.startswith("/"):
                    path.clear()
                    while len(stack) > 1:
                        os.close(stack.pop())
                waiting.extend(reversed(target.split("/")))
            yield stack[-1], path
        finally:
            for number in stack:
                os.close(number)

    def begin_of(self, name: str, length: int) -> bytes | None:
        """The first bytes of a regular file, through links; None if there is none."""
        for _ in range(40):
            folders, last = name.split("/")[:-1], name.rsplit("/", 1)[-1]
            try:
                with self._folder(folders, make_missing=False) as (folder, path):
                    if stat.S_ISLNK(os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode):
                        target = os.readlink(last, dir_fd=folder)
                        name = target if target.startswith("/") else "/".join((*path, target))
                        continue
                    number = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
                    try:
                        return os.read(number, length) if stat.S_ISREG(os.fstat(number).st_mode) else None
                    finally:
                        os.close(number)
            except OSError:
                return None
        return None

    def has(self, name: str) -> bool:
        return self.begin_of(name, 0) is not None

    def put(self, name: str, data: bytes, mode: int) -> str | None:
        """Makes the file whole or not at all. None if it was there like that already."""
        *folders, last = name.split("/")
        with self._folder(folders, make_missing=True) as (folder, path):
            if self._is_same(folder, last, data, mode):
                return None
            temporary = f".{last}.{os.getpid()}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            number = os.open(temporary, flags, 0o600, dir_fd=folder)
            try:
                with open(number, "wb") as file:
                    file.write(data)
                    os.fchmod(number, mode)
                    file.flush()
                    os.fsync(number)
                # What stood there, a link too, is replaced, and not written into.
                os.rename(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            return "/" + "/".join((*path, last))

    @staticmethod
    def _is_same(folder: int, name: str, data: bytes, mode: int) -> bool:
        try:
            number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            return False
        with open(number, "rb") as file:
            status = os.fstat(number)
            is_like_it = stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == mode
            return is_like_it and status.st_size == len(data) and file.read(len(data) + 1) == data

    def link(self, name: str, target: str) -> str | None:
        *folders, last = name.split("/")
        with self._folder(folders, make_missing=True) as (folder, path):
            with contextlib.suppress(OSError):
                if os.readlink(last, dir_fd=folder) == target:
                    return None
            temporary = f".{last}.{os.getpid()}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            os.symlink(target, temporary, dir_fd=folder)
            os.rename(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
            return "/" + "/".join((*path, last))
