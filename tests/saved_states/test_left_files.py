# SPDX-License-Identifier: Apache-2.0
"""A file that is not whole has a name of its own for a moment, in some folders. What a killed process left, the next
one removes; what is somebody's stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import applevz
from places import SUPPORT
from processes import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the file is that of the Linux classes")

# Refuses files without a name, as network file systems do, if TMPFILE says so; sends a signal to its own process where
# the function named by AT is called.
LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

int openat(int folder, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    if ((flags & O_TMPFILE) == O_TMPFILE && getenv("NO_TMPFILE") != NULL) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return NEXT(int (*)(int, const char *, int, ...), "openat")(folder, path, flags, mode);
}

static void reach(const char *function) {
    const char *at = getenv("AT");
    if (at != NULL && strcmp(at, function) == 0)
        raise(atoi(getenv("SIGNAL")));
}

int linkat(int from, const char *name, int to, const char *other, int flags) {
    reach("linkat");
    return NEXT(int (*)(int, const char *, int, const char *, int), "linkat")(from, name, to, other, flags);
}

int renameat(int from, const char *name, int to, const char *other) {
    reach("renameat");
    return NEXT(int (*)(int, const char *, int, const char *), "renameat")(from, name, to, other);
}
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    source, library = tmp_path / "reach.c", tmp_path / "reach.so"
    source.write_text(LIBRARY)
    subprocess.run(["clang", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.fixture
def base(tmp_path: Path) -> Path:
    applevz.create_disk_image(tmp_path / "base", "1MiB")
    return tmp_path / "base"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


def run(library: Path, program: str, *arguments: object, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "LD_PRELOAD": str(library), **variables}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], env=environment, text=True)


CREATE = "import sys, applevz; applevz.create_disk_image(sys.argv[1], base=sys.argv[2], clone=False)"


def test_a_disk_image_whose_maker_was_killed_is_gone_with_the_next(library: Path, folder: Path, base: Path) -> None:
    kill = {"AT": "linkat", "SIGNAL": str(int(signal.SIGKILL))}
    with run(library, CREATE, folder / "disk", base, NO_TMPFILE="1", **kill) as process:
        assert process.wait() == -signal.SIGKILL
    (left,) = os.listdir(folder)
    assert left.startswith(".applevz-")
    applevz.create_disk_image(folder / "other", base=base, clone=False)
    assert os.listdir(folder) == ["other"]


def test_a_state_whose_maker_was_killed_as_it_replaced_another_is_gone_with_the_next(
    library: Path, guest_files: Path, folder: Path
) -> None:
    program = f"""
import os, sys
sys.path.insert(0, {str(SUPPORT)!r})
import applevz
boot_loader = applevz.LinuxBootLoader({str(guest_files / "vmlinux")!r}, {str(guest_files / "initrd.cpio.gz")!r})
vm = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(boot_loader, memory_size="128MiB"))
vm.start()
vm.pause()
vm.save_state(sys.argv[1], overwrite=True)
"""
    for variables in ({}, {"AT": "renameat", "SIGNAL": str(int(signal.SIGKILL))}):
        with run(library, program, folder / "state", **variables) as process:
            assert process.wait() == -int(variables.get("SIGNAL", "0"))
    assert len(os.listdir(folder)) == 2
    with run(library, program, folder / "state") as process:
        assert process.wait() == 0
    assert os.listdir(folder) == ["state"]


def test_a_file_that_somebody_still_makes_stays(library: Path, folder: Path, base: Path) -> None:
    stop = {"AT": "linkat", "SIGNAL": str(int(signal.SIGSTOP))}
    with run(library, CREATE, folder / "disk", base, NO_TMPFILE="1", **stop) as process:
        status = Path(f"/proc/{process.pid}/stat")
        try:
            assert eventually(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")
            applevz.create_disk_image(folder / "other", base=base, clone=False)
            assert len(os.listdir(folder)) == 2
        finally:
            process.send_signal(signal.SIGCONT)
        assert process.wait() == 0
    assert sorted(os.listdir(folder)) == ["disk", "other"]
    assert (folder / "disk").stat().st_size == (folder / "other").stat().st_size


def test_what_only_looks_like_such_a_file_stays(folder: Path, base: Path) -> None:
    def name() -> Path:
        return folder / f".applevz-{str(uuid.uuid4()).upper()}"

    name().symlink_to(base)
    name().mkdir()
    os.mkfifo(name())
    (folder / ".applevz-notes").write_text("mine")
    foreign = name()
    foreign.write_text("somebody else's")
    if os.geteuid() == 0:
        os.chown(foreign, 1234, -1)
    else:
        foreign.rename(folder / "not there")
    names = sorted(os.listdir(folder))
    left = name()
    left.write_text("left")
    applevz.create_disk_image(folder / "disk", base=base, clone=False)
    assert sorted(os.listdir(folder)) == sorted([*names, "disk"])
    assert base.exists()
