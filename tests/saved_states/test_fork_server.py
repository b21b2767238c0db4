# SPDX-License-Identifier: Apache-2.0
"""From a pool's third machine on each is a copy of a QEMU that waits before its begin: as any other QEMU, but for the
addresses of its program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import applevz
from guest_machine import PATIENCE
from pool_guests import configuration_of, is_fork_server, of_a_pool, of_a_process
from processes import alive, children, eventually

pytestmark = [*of_a_pool, of_a_process]

ENTROPY = applevz.VirtioEntropyDeviceConfiguration()


@pytest.fixture(scope="module")
def state(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fork-server") / "ready.state"
    with applevz.VirtualMachine(configuration(guest_files)) as machine:
        machine.start(timeout=PATIENCE)
        guest = machine.guest.wait(timeout=PATIENCE)
        # The agent is there before the drivers are.
        source = "/sys/class/misc/hw_random/rng_current"
        guest.run(f"until grep -q virtio {source}; do sleep 0.1; done", shell=True, check=True, timeout=PATIENCE)
        machine.suspend(to=path, timeout=PATIENCE)
    return path


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = children()
    yield
    assert eventually(lambda: children() <= before)


def configuration(guest_files: Path) -> applevz.VirtualMachineConfiguration:
    return configuration_of(guest_files, entropy_devices=[ENTROPY])


def pool_of(guest_files: Path, state: Path, **options: bool) -> applevz.Pool:
    return applevz.Pool(configuration(guest_files), state, spares=0, **options)


def is_copy(process: int) -> bool:
    return "fork-server.so" in Path(f"/proc/{process}/maps").read_text()


def words(process: int) -> list[bytes]:
    return Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")


def the_server() -> int:
    (found,) = filter(is_fork_server, children())
    return found


def made(stack: ExitStack, pool: applevz.Pool) -> tuple[applevz.VirtualMachine, int]:
    """One more machine, and its QEMU."""
    before = children()
    machine = stack.enter_context(pool.machine(PATIENCE))
    (process,) = (process for process in children() - before if not is_fork_server(process))
    return machine, process


def first_copy(stack: ExitStack, pool: applevz.Pool) -> tuple[applevz.VirtualMachine, int]:
    """The server takes a while to begin: machines are made without it until then."""
    for _ in range(20):
        machine, process = made(stack, pool)
        if is_copy(process):
            return machine, process
    raise AssertionError("no machine was a copy")


def facts(process: int) -> dict[str, object]:
    """What another user of the host, or QEMU itself, could tell one process from another by."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    fields = (
        *("PPid", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Umask", "Groups"),
        *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigBlk", "SigIgn"),
    )
    found: dict[str, object] = {field: status[field].strip() for field in fields if field in status}
    limits = Path(f"/proc/{process}/limits").read_text().splitlines()
    found["limits"] = [line for line in limits if line.startswith(("Max open files", "Max core"))]
    found["own users"] = len(set(status["Uid"].split())), len(set(status["Gid"].split()))
    found["owner"] = Path(f"/proc/{process}").stat().st_uid == int(status["Uid"].split()[1])
    found["session"] = os.getsid(process) == process
    found["folder"] = os.readlink(f"/proc/{process}/cwd")
    found["program"] = os.readlink(f"/proc/{process}/exe")
    targets = (os.readlink(entry) for entry in Path(f"/proc/{process}/fd").iterdir())
    found["descriptors"] = sorted(target.split(":[")[0] for target in targets)
    found["words"] = [word for word in words(process) if not word.startswith(b"tsc")]
    return found


def test_a_copy_is_what_a_program_would_be(guest_files: Path, state: Path) -> None:
    with ExitStack() as stack, pool_of(guest_files, state) as pool:
        first, executed = made(stack, pool)
        assert not is_copy(executed)
        copied, copy = first_copy(stack, pool)
        assert copied.confinement == first.confinement
        assert facts(copy) == facts(executed)
        assert Path(f"/proc/{copy}/status").stat().st_uid != Path(f"/proc/{executed}/status").stat().st_uid or (
            applevz.Confinement.USER not in first.confinement
        )
        assert copied.guest.run(["echo", "here"], capture_output=True, text=True, timeout=PATIENCE).stdout == "here\n"


def test_copies_have_random_numbers_of_their_own(guest_files: Path, state: Path) -> None:
    # What is in QEMU's memory at first is the same in all of them. The guest has fetched the first bytes already.
    command = "head -c 4096 /dev/hwrng | tail -c 32 | od -An -tx1"
    seen = []
    with pool_of(guest_files, state) as pool, ExitStack() as stack:
        first_copy(stack, pool)
        for _ in range(3):
            machine, process = made(stack, pool)
            assert is_copy(process)
            done = machine.guest.run(
                command, shell=True, capture_output=True, text=True, check=True, timeout=PATIENCE
            )
            seen.append(done.stdout.split())
    assert all(len(each) == 32 for each in seen)
    assert len({tuple(each) for each in seen}) == 3


def test_a_server_that_was_killed_is_done_without(guest_files: Path, state: Path) -> None:
    with pool_of(guest_files, state) as pool, ExitStack() as stack:
        kept, _ = first_copy(stack, pool)
        server = the_server()
        os.kill(server, signal.SIGKILL)
        machine, process = made(stack, pool)
        assert not is_copy(process)
        for each in (kept, machine):
            assert each.guest.run(["echo", "here"], capture_output=True, timeout=PATIENCE).stdout == b"here\n"


def test_a_server_that_does_not_answer_is_given_up(guest_files: Path, state: Path) -> None:
    with pool_of(guest_files, state) as pool, ExitStack() as stack:
        first_copy(stack, pool)
        server = the_server()
        os.kill(server, signal.SIGSTOP)
        machine, process = made(stack, pool)
        assert not is_copy(process)
        assert machine.guest.run(["echo", "here"], capture_output=True, timeout=PATIENCE).stdout == b"here\n"
        assert eventually(lambda: not alive(server))


def test_another_program_is_executed(
    guest_files: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pool_of(guest_files, state) as pool, ExitStack() as stack:
        _, process = first_copy(stack, pool)
        other = tmp_path / "another-qemu"
        other.write_text(f'#!/bin/sh\nexec {os.readlink(f"/proc/{process}/exe")} "$@"\n')
        other.chmod(0o755)
        monkeypatch.setenv("APPLEVZ_QEMU", str(other))
        assert not is_copy(made(stack, pool)[1])


def test_a_pool_without_a_server_has_none(guest_files: Path, state: Path) -> None:
    with pool_of(guest_files, state, fork_server=False) as pool, ExitStack() as stack:
        assert not any(is_copy(made(stack, pool)[1]) for _ in range(4))
        assert not any(map(is_fork_server, children()))
    with pytest.raises(applevz.InvalidArgumentError, match="fork_server"):
        pool_of(guest_files, state, fork_server=1)  # type: ignore[arg-type]


def test_pools_have_one_server_which_ends_with_the_last(guest_files: Path, state: Path) -> None:
    with ExitStack() as stack:
        with pool_of(guest_files, state) as first, ExitStack() as machines:
            first_copy(machines, first)
            server = the_server()
            second = stack.enter_context(pool_of(guest_files, state))
            assert is_copy(made(stack, second)[1])
            made(stack, second)
        # The second has made two machines, and holds it.
        assert alive(server)
        assert is_copy(made(stack, second)[1])
        second.close()
        assert eventually(lambda: not alive(server))


KILLED = """
import os, sys, time
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import applevz
from pool_guests import configuration_of
from test_fork_server import configuration, first_copy, the_server
from contextlib import ExitStack

stack = ExitStack()
pool = applevz.Pool(configuration(Path(sys.argv[1])), sys.argv[2], spares=0)
machine, process = first_copy(stack, pool)
print(process, the_server(), flush=True)
time.sleep(600)
"""


def test_copies_and_their_server_die_with_the_program(guest_files: Path, state: Path) -> None:
    folders = [str(Path(__file__).parent), *filter(None, sys.path)]
    program = subprocess.Popen(
        [sys.executable, "-c", KILLED, guest_files, state, *folders], stdout=subprocess.PIPE, text=True
    )
    with program:
        assert program.stdout is not None
        processes = [int(word) for word in program.stdout.readline().split()]
        assert len(processes) == 2
        assert all(map(alive, processes))
        program.kill()
    assert eventually(lambda: not any(map(alive, processes)))
