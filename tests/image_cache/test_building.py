# SPDX-License-Identifier: Apache-2.0
"""Images that are made here: what is asked for is looked at first, and a maker that fails or is stopped leaves nothing.

The maker is played. `tests/images` has a real one."""

from __future__ import annotations

import asyncio
import filecmp
import io
import os
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

import applevz
from applevz import images
from applevz._images.bootstrapping import way
from applevz._images.building import _make_file_system, _Recipe, _set_dates
from applevz._images.makers import find_maker
from applevz._images.task import Task
from applevz.aio import images as awaited
from processes import alive, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Debian's tools are on Linux")

PATIENCE = 120.0


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a program in mmdebstrap's place."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("genext2fs", "unshare"):
        (folder / name).write_text('#!/bin/sh\nwhile [ "$1" != env ]; do shift; done\nexec "$@"\n')
        (folder / name).chmod(0o755)

    def play(text: str) -> None:
        (folder / "mmdebstrap").write_text(f"#!/bin/sh\n{text}\n")
        (folder / "mmdebstrap").chmod(0o755)

    return play


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"release": "../x"}, "release is '../x'"),
        ({"release": 13}, "release is 13"),
        ({"release": "--help"}, "release is '--help'"),
        ({"packages": "vim"}, "packages is 'vim'"),
        ({"packages": ["vim", "--x"]}, r"packages\[1\] is '--x'"),
        ({"packages": ["a,b"]}, r"packages\[0\] is 'a,b'"),
        ({"packages": ["vim=1"]}, r"packages\[0\] is 'vim=1'"),
        ({"mirror": "deb http://host/ x main"}, "mirror is 'deb http"),
        ({"mirror": "--help"}, "mirror is '--help'"),
        ({"size": "1MiB"}, "size is 1048576 bytes"),
        ({"size": (1 << 30) + 1}, "size is 1073741825 bytes"),
        ({"seed": {}}, "seed is {}"),
        ({"guest_agent": 1}, "guest_agent is 1"),
        ({"boot": "bios"}, "boot is 'bios'"),
        ({"boot": ["efi"]}, "boot is .'efi'."),
        ({"refresh": 1}, "refresh is 1"),
        ({"name": "a b"}, "name is 'a b'"),
    ],
)
def test_what_cannot_be_made_is_refused_in_words(options: dict[str, Any], told: str, cache: Path) -> None:
    with pytest.raises(applevz.InvalidArgumentError, match=told):
        images.build_debian(cache=cache, **options)


@pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent")
def test_the_recipe_tells_images_apart() -> None:
    def recipe(release: str = "13", **options: Any) -> str:
        values: dict[str, Any] = {"packages": (), "seed": None, "mirror": None, "size": "1GiB", "guest_agent": False}
        return _Recipe(release, **{**values, "boot": "kernel", **options}).text

    assert recipe() == recipe("trixie") == recipe(size=1 << 30) == recipe(packages=["kmod"])
    assert recipe(packages=["vim", "less"]) == recipe(packages=["less", "vim"])
    others = [
        recipe("12"),
        recipe(packages=["vim"]),
        recipe(seed={"user-data": b"x"}),
        recipe(seed={"user-data": b"y"}),
        recipe(mirror="https://host/debian"),
        recipe(size="2GiB"),
        recipe(guest_agent=True),
        recipe(boot="efi"),
    ]
    assert len({recipe(), *others}) == 1 + len(others)


@pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent")
def test_the_tree_gets_the_agent_and_the_seed() -> None:
    seed = applevz.CloudInitSeed({"hostname": "made"}, guest_agent=True).files()
    recipe = _Recipe("13", (), seed, None, "1GiB", True, "kernel")
    assert "cloud-init" in recipe.packages
    with tarfile.open(fileobj=io.BytesIO(recipe.files)) as tar:
        members = {member.name.removeprefix("./"): member for member in tar.getmembers()}
        data = tar.extractfile("./var/lib/cloud/seed/nocloud/user-data")
        assert data is not None
        assert data.read() == seed["user-data"]
    assert members["usr/local/sbin/applevz-agent"].mode == 0o755
    assert members["etc/systemd/system/sysinit.target.wants/applevz-agent.service"].issym()
    assert "var/lib/cloud/seed/nocloud/vendor-data" not in members
    assert all((member.uid, member.gid, member.mtime) == (0, 0, 946684800) for member in members.values())


def test_a_program_that_is_missing_is_named_with_its_package(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(applevz.NotSupportedError, match="apt-get install mmdebstrap"):
        images.build_debian(cache=cache, guest_agent=False)


def test_all_programs_that_are_missing_are_named_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"mmdebstrap", "resize2fs"}
    monkeypatch.setattr("applevz._images.makers.find_maker", lambda program: program if program in there else None)
    with pytest.raises(applevz.NotSupportedError) as caught:
        images.build_debian(cache=cache, guest_agent=False, boot="efi")
    assert caught.value.failure_reason == "The programs genext2fs, mformat, mcopy, sfdisk are not installed."
    # A package of two programs is named once.
    hint = "Install them: on Debian and Ubuntu `apt-get install genext2fs mtools fdisk`."
    assert caught.value.recovery_suggestion == hint
    there |= {"genext2fs", "mformat", "mcopy"}
    with pytest.raises(applevz.NotSupportedError, match="The program sfdisk is not installed.*Install it: .* fdisk`"):
        images.build_debian(cache=cache, guest_agent=False, boot="efi")


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("echo I: first >&2; echo 'E: Unable to locate package nonsense' >&2; exit 1", "E: Unable to locate package"),
        ("echo some words >&2; exit 25", "some words"),
        ("exit 25", "It ended with the status 25"),
        ("kill -9 $$", "It ended with the status"),
        ("exit 0", "made no kernel"),
    ],
)
def test_a_maker_that_fails_is_told_and_leaves_nothing(play: Any, program: str, told: str, cache: Path) -> None:
    play(program)
    with pytest.raises(applevz.InternalError, match=told):
        images.build_debian(cache=cache, guest_agent=False)
    assert images.list(cache=cache) == []
    assert list((cache / "work").iterdir()) == []


def test_a_maker_is_ended_with_all_that_it_started(play: Any, cache: Path, tmp_path: Path) -> None:
    tidies = f"trap 'echo >{tmp_path}/tidied; exit 1' TERM"
    # Its child does not hear of it: nor does one that has not yet executed its program.
    child = "sh -c 'trap : TERM; while :; do sleep 3600; done'"
    play(f"{tidies}; {child} & echo $! >{tmp_path}/new && mv {tmp_path}/new {tmp_path}/child; wait")

    async def main() -> None:
        call = asyncio.ensure_future(awaited.build_debian(cache=cache, guest_agent=False))
        while not (tmp_path / "child").exists():
            assert not call.done()
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    number = int((tmp_path / "child").read_text())
    assert eventually(lambda: not alive(number), PATIENCE)
    assert (tmp_path / "tidied").exists()
    assert list((cache / "work").iterdir()) == []
    with pytest.raises(applevz.TimeoutError):
        images.build_debian(cache=cache, guest_agent=False, timeout=0.5)


def test_dates_are_set_in_each_copy_of_a_superblock(tmp_path: Path) -> None:
    disk = bytearray(40 << 20)
    first = bytearray(1024)
    # Blocks of 1024 bytes, from 1 on, in groups of 8192; the magic number; an identifier.
    first[4:8], first[20:24], first[24:28] = struct.pack("<I", 40 << 10), struct.pack("<I", 1), bytes(4)
    first[32:36], first[56:58], first[104:120] = struct.pack("<I", 8192), b"\x53\xef", bytes(range(16))
    for at in (44, 48, 64, 264):
        first[at : at + 4] = b"date"
    copies = [1024, (1 + 8192) * 1024, (1 + 3 * 8192) * 1024]
    for place in copies:
        disk[place : place + 1024] = first
    data = (1 + 2 * 8192) * 1024
    disk[data : data + 1024] = b"x" * 1024
    path = tmp_path / "disk"
    path.write_bytes(disk)
    _set_dates(path)
    made = path.read_bytes()
    assert made.count(b"date") == 0
    assert len({made[place : place + 1024] for place in copies}) == 1
    assert made[data : data + 1024] == b"x" * 1024


def test_a_disk_that_is_too_small_for_its_packages_is_told(play: Any, cache: Path) -> None:
    # A maker that makes all that it is asked for, and a system of 1 GiB.
    play(
        """
        for word; do
            case "$word" in
                --customize-hook=download*) echo x >"${word##* }" ;;
                */disk.raw) truncate -s 1G "$word" ;;
            esac
        done
        """
    )
    with pytest.raises(applevz.InvalidArgumentError, match=f"size is {512 << 20} bytes.*Give {1 << 30} bytes"):
        images.build_debian(cache=cache, guest_agent=False, size="512MiB")
    assert list((cache / "work").iterdir()) == []


def test_how_far_it_is_is_told_in_steps(play: Any, cache: Path) -> None:
    play("echo I: running apt-get update... >&2; sleep 0.1; echo I: extracting archives... >&2; exit 25")
    steps: list[images.Progress] = []
    with pytest.raises(applevz.InternalError):
        images.build_debian(cache=cache, guest_agent=False, progress=steps.append)
    assert steps[-1] == images.Progress("install", 2, 9)
    assert {(step.stage, step.done) for step in steps} <= {("packages", 0), ("install", 2)}


def test_a_user_who_is_not_root_makes_it_as_it_can_be_made(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    task = Task(None)
    play("")
    assert way(task) == ([], "unshare")
    folder = os.environ["PATH"].partition(":")[0]
    Path(folder, "unshare").write_text("#!/bin/sh\necho unshare: no line matching user >&2\nexit 1\n")
    for name in ("fakechroot", "fakeroot"):
        Path(folder, name).write_text("#!/bin/sh\n")
        Path(folder, name).chmod(0o755)
    assert way(task) == ([], "fakechroot")
    monkeypatch.setattr("applevz._images.bootstrapping.find_maker", lambda name: None)
    with pytest.raises(applevz.NotSupportedError, match=r"no line matching user.*fakechroot is not.*/etc/subuid"):
        way(task)


def test_root_that_may_not_mount_mounts_nothing(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    play("")
    before, mode = way(Task(None))
    assert (before[0], mode) == ("unshare", "root")
    Path(os.environ["PATH"].partition(":")[0], "unshare").write_text("#!/bin/sh\nexit 1\n")
    assert way(Task(None)) == ([], "root")


@pytest.mark.skipif(not find_maker("mkfs.ext2"), reason="e2fsprogs make the file system")
def test_who_makes_the_system_leaves_no_trace_in_its_file_system(tmp_path: Path) -> None:
    """apt's user may be 42 or root in what mmdebstrap makes, and the journal may have a group of its own."""
    folder, journal = "var/lib/apt/lists/partial", "var/log/journal"
    for name in (folder, journal):
        (tmp_path / "tree" / name).mkdir(parents=True)
    first, second = tmp_path / "first", tmp_path / "second"
    words = ["-q", "-t", "ext2", "-b", "1024", "-I", "128", "-O", "none", "-E", "root_owner=0:0"]
    make = [str(find_maker("mkfs.ext2")), *words, "-d", str(tmp_path / "tree"), str(first), "16M"]
    subprocess.run(make, check=True, capture_output=True)
    second.write_bytes(first.read_bytes())
    recipe = _Recipe("13", (), None, None, "512MiB", False, "kernel")
    for owner, image in ((0, first), (42, second)):
        changes = f"{folder} uid {owner}", f"{journal} gid {owner}", f"{journal} mode {'042755' if owner else '040755'}"
        for change in changes:
            command = [str(find_maker("debugfs")), "-w", "-R", f"set_inode_field /{change}", str(image)]
            subprocess.run(command, check=True, capture_output=True)
        _make_file_system(Task(None), recipe, image, 32 << 20)
    assert first.stat().st_size == 32 << 20
    assert filecmp.cmp(first, second, shallow=False)
    checked = subprocess.run([str(find_maker("e2fsck")), "-f", "-n", str(second)], capture_output=True)
    assert checked.returncode == 0
    for name, told in ((folder, "User:     0"), (journal, "Mode:  0755")):
        look = [str(find_maker("debugfs")), "-R", f"stat /{name}", str(second)]
        assert told in subprocess.run(look, capture_output=True, text=True, check=True).stdout
