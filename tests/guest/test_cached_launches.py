# SPDX-License-Identifier: Apache-2.0
"""Guests that were launched with `cached=True`: the first is booted, and the others go on from where that was ready."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import applevz
import applevz.aio
from applevz import images, states
from guest_machine import PATIENCE
from processes import alive, children, eventually
from saved_state_files import PATTERN, TRAILER, description_of, forge

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a Mac's framework has no disks that go with their machine"),
    pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent"),
    pytest.mark.timeout(1200),
]
pytest.importorskip("filelock")
pytest.importorskip("pycdlib")

# It is another one after each boot. The kernel makes it up when somebody reads it first.
BOOT = "/proc/sys/kernel/random/boot_id"
UUID = "/proc/sys/kernel/random/uuid"
WRITE = "echo {} | dd of=/dev/vda bs=512 count=1 conv=sync,fsync 2>/dev/null"
READ = "dd if=/dev/vda bs=512 count=1 iflag=direct 2>/dev/null | tr -d '\\0'"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    applevz.create_disk_image(path, "8MiB")
    return path


@pytest.fixture
def given(guest_files: Path, tmp_path: Path) -> dict[str, Any]:
    """What has a launch boot the default guest, or go on with it."""
    return {
        "kernel": str(guest_files / "vmlinux"),
        "initial_ramdisk": str(guest_files / "initrd.cpio.gz"),
        "command_line": "console=hvc0 quiet",
        "memory_size": "256MiB",
        "timeout": PATIENCE,
        "cache": str(tmp_path / "cache"),
        "cached": True,
        "prepare": prepare_boot,
        "prepare_key": "1",
    }


def prepare_boot(guest: applevz.Guest) -> None:
    assert guest.read_text(BOOT, timeout=PATIENCE)


def printed(machine: applevz.VirtualMachine, command: str) -> str:
    return str(machine.guest.run(command, shell=True, text=True, check=True, timeout=PATIENCE).stdout)


def boot_of(machine: applevz.VirtualMachine) -> str:
    return machine.guest.read_text(BOOT, timeout=PATIENCE)


def launched(disk: Any, given: dict[str, Any]) -> str:
    """Which boot it is that the guest of a launch had."""
    with applevz.launch(disk, **given) as machine:
        return boot_of(machine)


def prepare_disk(guest: applevz.Guest) -> None:
    """Until the guest has its disk: its initial RAM disk is its root, in which the agent answers before."""
    prepare_boot(guest)
    while guest.run(["test", "-b", "/dev/vda"], timeout=PATIENCE).returncode != 0:
        time.sleep(0.1)
    guest.run(["date", "-s", "@1000000000"], check=True, timeout=PATIENCE)


def in_cache(given: dict[str, Any]) -> list[str]:
    folder = Path(given["cache"])
    return sorted(path.name for name in ("states", "work") for path in (folder / name).iterdir())


def test_later_launches_go_on_from_the_first_each_with_a_memory_a_disk_and_a_time_of_its_own(
    disk: Path, given: dict[str, Any]
) -> None:
    given["prepare"] = prepare_disk
    with applevz.launch(disk, **given) as first:
        boot = boot_of(first)
        # It goes on after it was saved, and is not known to the others.
        printed(first, WRITE.format("first") + "; touch /tmp/first")
        (state,) = images.cached_states(cache=given["cache"])
        assert states.check(state.path).parent is None
        with ThreadPoolExecutor(8) as threads:
            machines = list(threads.map(lambda _: applevz.launch(disk, **given), range(8)))
        try:
            for machine in (first, *machines):
                assert abs(int(printed(machine, "date +%s")) - time.time()) < 60
            # The next random number of each kernel: they have all gone on from the same one.
            assert len({machine.guest.read_text(UUID, timeout=PATIENCE) for machine in machines}) == 8
            assert {boot_of(machine) for machine in machines} == {boot}
            for number, machine in enumerate(machines):
                assert printed(machine, f"ls /tmp; {READ}") == ""
                printed(machine, f"touch /tmp/{number}; {WRITE.format(number)}")
            for number, machine in enumerate(machines):
                assert printed(machine, f"ls /tmp; {READ}").split() == [str(number)] * 2
        finally:
            for machine in machines:
                machine.stop(timeout=PATIENCE)
        assert printed(first, f"ls /tmp; {READ}").split() == ["first", "first"]
    # In the other face, and in another process.
    assert asyncio.run(launched_awaited(disk, given)) == boot
    done = subprocess.run(
        [sys.executable, "-c", OTHER, disk, json.dumps({**given, "prepare": None})],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout == boot
    assert in_cache(given) == [f"{Path(state.path).stem}.{kind}" for kind in ("state", "used")]
    # What it takes of the disk may change: a file system allocates late.
    (kept,) = images.cached_states(cache=given["cache"])
    assert (kept.path, kept.identifier, kept.made) == (state.path, state.identifier, state.made)
    (image,) = images.list(cache=given["cache"])
    assert Path(image.path).read_bytes() == bytes(8 << 20)


OTHER = f"""
import json, sys, applevz
given = json.loads(sys.argv[2]) | {{"prepare": lambda guest: 1 / 0}}
with applevz.launch(sys.argv[1], **given) as machine:
    print(machine.guest.read_text({BOOT!r}, timeout={PATIENCE}), end="")
"""


async def launched_awaited(disk: Path, given: dict[str, Any]) -> str:
    """… of the other face."""
    async with await applevz.aio.launch(disk, **given) as machine:
        return await machine.guest.read_text(BOOT, timeout=PATIENCE)


def spoil_memory(path: Path) -> None:
    with path.open("r+b") as file:
        # The first byte that is none of a hole's.
        file.seek(os.lseek(file.fileno(), 1 << 20, os.SEEK_DATA))
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def of_another_qemu(path: Path) -> None:
    forge(path, description=json.dumps({**description_of(path), "qemu": "5.2"}).encode())


def of_another_machine(path: Path) -> None:
    description = description_of(path)
    fields = [[name, "7" if name == "CPUCount" else value] for name, value in description["fields"]]
    forge(path, description=json.dumps({**description, "fields": fields}).encode())


def with_a_stream_that_is_none(path: Path) -> None:
    """All checksums are right, and QEMU does not understand it."""
    with path.open("r+b") as file:
        size = file.seek(-TRAILER, os.SEEK_END)
        length = struct.unpack(PATTERN, file.read())[1]
    assert 0 < length < size
    forge(path, stream=4096, stream_length=4096)


def test_a_state_that_does_not_fit_is_replaced_by_that_of_a_guest_that_is_booted(
    disk: Path, given: dict[str, Any]
) -> None:
    boots = [launched(disk, given)]
    (state,) = images.cached_states(cache=given["cache"])
    path = Path(state.path)
    for spoil in (spoil_memory, cut_off, of_another_qemu, of_another_machine, with_a_stream_that_is_none):
        spoil(path)
        boots.append(launched(disk, given))
        assert boots[-1] not in boots[:-1], spoil.__name__
        assert launched(disk, given) == boots[-1], spoil.__name__
    # An image that was written, and one that took its place.
    image = Path(images.list(cache=given["cache"])[0].path)
    os.chmod(image, 0o600)
    os.utime(image)
    boots.append(launched(disk, given))
    images.remove("disk.img", cache=given["cache"])
    assert images.cached_states(cache=given["cache"]) == []
    boots.append(launched(disk, given))
    assert len(set(boots)) == len(boots)
    assert len(images.cached_states(cache=given["cache"])) == 1
    assert not [name for name in in_cache(given) if not name.endswith((".state", ".used"))]


def test_a_guest_is_prepared_once_and_one_whose_preparation_fails_is_not_kept(
    disk: Path, given: dict[str, Any]
) -> None:
    before, calls = children(), []

    def prepare(guest: applevz.Guest) -> None:
        calls.append(guest)
        guest.write_text("/tmp/prepared", "by us", timeout=PATIENCE)

    async def awaited(guest: Any) -> None:
        calls.append(guest)
        await guest.write_text("/tmp/prepared", "by us", timeout=PATIENCE)

    def fail(_: object) -> None:
        raise ZeroDivisionError

    async def fail_later(_: object) -> None:
        raise ZeroDivisionError

    del given["prepare"]
    with pytest.raises(ZeroDivisionError):
        applevz.launch(disk, **given, prepare=fail)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(applevz.aio.launch(disk, **given, prepare=fail_later))
    with pytest.raises(applevz.InvalidArgumentTypeError, match="What prepare returned"):
        applevz.launch(disk, **given, prepare=awaited)
    assert in_cache(given) == []
    assert eventually(lambda: children() <= before, PATIENCE)
    assert calls == []
    assert asyncio.run(launched_awaited(disk, {**given, "prepare": awaited}))
    assert len(calls) == 1
    with applevz.launch(disk, **given, prepare=prepare) as machine:
        assert machine.guest.read_text("/tmp/prepared", timeout=PATIENCE) == "by us"
    assert len(calls) == 1
    # Without a state it is prepared each time.
    with applevz.launch(disk, **{**given, "cached": False}, prepare=prepare) as machine:
        assert machine.guest.read_text("/tmp/prepared", timeout=PATIENCE) == "by us"
    assert len(calls) == 2


def test_of_launches_at_once_one_boots_and_if_that_fails_another_one(disk: Path, given: dict[str, Any]) -> None:
    told: list[images.Progress] = []
    failed = threading.Event()

    def prepare(guest: applevz.Guest) -> None:
        prepare_boot(guest)
        # Until another one waits for this; the first time it fails.
        assert eventually(lambda: any(step.stage == "wait" for step in told), PATIENCE)
        if not failed.is_set():
            failed.set()
            raise ZeroDivisionError

    def launch(_: int) -> str | None:
        try:
            return launched(disk, {**given, "progress": told.append, "prepare": prepare})
        except ZeroDivisionError:
            return None

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(launch, range(3)))
    assert found.count(None) == 1
    assert len(set(found)) == 2


def test_a_task_that_is_cancelled_in_its_preparation_leaves_nothing_and_lets_others_go_on(
    disk: Path, given: dict[str, Any]
) -> None:
    before = children()

    async def main() -> None:
        begun = asyncio.Event()

        async def prepare(_: object) -> None:
            begun.set()
            await asyncio.sleep(PATIENCE)

        call = asyncio.ensure_future(applevz.aio.launch(disk, **{**given, "prepare": prepare}))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    assert eventually(lambda: children() <= before, PATIENCE)
    assert in_cache(given) == []
    assert launched(disk, given)


KILLED = """
import json, os, sys, applevz

def prepare(guest):
    print("ready", flush=True)
    if sys.argv[3] == "preparing":
        sys.stdin.read()

given = json.loads(sys.argv[2]) | {"prepare": prepare}
machine = applevz.launch(sys.argv[1], **given)
print("launched", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("moment", ["booting", "preparing", "saving", "launched"])
def test_a_process_that_is_killed_leaves_a_whole_state_or_none_and_no_guest(
    disk: Path, given: dict[str, Any], moment: str
) -> None:
    arguments = {**given, "prepare": None}
    work = Path(given["cache"], "work")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, disk, json.dumps(arguments), moment],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        if moment == "booting":
            assert eventually(lambda: children(process.pid), PATIENCE)
        else:
            assert process.stdout.readline() == "ready\n"
        if moment == "saving":
            # On a busy host it may be over when it is seen.
            assert eventually(lambda: any([*work.iterdir(), *work.with_name("states").iterdir()]), PATIENCE)
        if moment == "launched":
            assert process.stdout.readline() == "launched\n"
        machines = children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert eventually(lambda: not any(alive(machine) for machine in machines), PATIENCE)
    for state in images.cached_states(cache=given["cache"]):
        states.check(state.path)
    whole = len(images.cached_states(cache=given["cache"]))
    calls: list[object] = []
    assert launched(disk, {**arguments, "prepare": calls.append})
    assert len(calls) == 1 - whole
    assert whole == 1 or moment != "launched"
    assert [Path(name).suffix for name in in_cache(given)] == [".state", ".used"]
