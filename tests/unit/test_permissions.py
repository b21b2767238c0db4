# SPDX-License-Identifier: Apache-2.0
"""Files with a guest's memory, disks, variables and output are their user's alone; no crash leaves such a file; and a
machine's processes are told no more, and may become no more, than they need."""

from __future__ import annotations

import os
import resource
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import applevz
from fixtures import MakeMachine
from guest_machine import PATIENCE
from processes import children
from shares import device, single

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the files are made by the Linux classes")


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def log_to(path: Path, append: bool = True) -> applevz.VirtioConsoleDeviceSerialPortConfiguration:
    return applevz.VirtioConsoleDeviceSerialPortConfiguration(applevz.FileSerialPortAttachment(path, append))


def test_what_is_made_is_its_user_s_alone_whatever_the_umask(machine: MakeMachine, tmp_path: Path, umask: None) -> None:
    applevz.create_disk_image(tmp_path / "disk", 512)
    vm = machine(memory_size="128MiB", serial_ports=[log_to(tmp_path / "log")])
    vm.start(timeout=PATIENCE)
    vm.pause(timeout=PATIENCE)
    vm.save_state(tmp_path / "saved", timeout=PATIENCE)
    vm.save_state(tmp_path / "overwritten", timeout=PATIENCE, overwrite=True)
    vm.suspend(timeout=PATIENCE, to=tmp_path / "suspended")
    if applevz.capabilities.efi:
        applevz.EFIVariableStore.create(tmp_path / "variables")
    modes = {path.name: oct(mode(path)) for path in tmp_path.iterdir()}
    assert set(modes) | {"variables"} == {"disk", "log", "saved", "overwritten", "suspended", "variables"}
    assert set(modes.values()) == {"0o600"}


def test_memory_that_is_handed_over_is_its_user_s_alone(machine: MakeMachine, tmp_path: Path, umask: None) -> None:
    vm = machine(memory_size="128MiB", memory_directory=tmp_path)
    vm.start(timeout=PATIENCE)
    vm.suspend(timeout=PATIENCE, to=tmp_path / "suspended")
    assert mode(tmp_path / "suspended") == 0o600


def test_what_is_there_keeps_its_permissions(machine: MakeMachine, tmp_path: Path) -> None:
    for name in ("log", "saved", "variables"):
        (tmp_path / name).write_bytes(b"mine")
        (tmp_path / name).chmod(0o640)
    vm = machine(memory_size="128MiB", serial_ports=[log_to(tmp_path / "log", append=False)])
    vm.start(timeout=PATIENCE)
    assert mode(tmp_path / "log") == 0o640
    vm.pause(timeout=PATIENCE)
    vm.save_state(tmp_path / "saved", timeout=PATIENCE, overwrite=True)
    assert (tmp_path / "saved").stat().st_size > 4
    assert mode(tmp_path / "saved") == 0o640
    if applevz.capabilities.efi:
        applevz.EFIVariableStore.create(tmp_path / "variables", overwrite=True)
        assert (tmp_path / "variables").stat().st_size > 4
        assert mode(tmp_path / "variables") == 0o640


@pytest.fixture
def started(machine: MakeMachine, tmp_path: Path) -> Callable[[], dict[str, int]]:
    """Starts a machine with a share. Gives its processes, QEMU and virtiofsd, by their names."""

    def start() -> dict[str, int]:
        vm = machine(memory_size="128MiB", directory_sharing_devices=[device("share", single(tmp_path))])
        mine = children()
        vm.start(timeout=PATIENCE)
        found = {Path(f"/proc/{child}/comm").read_text().strip()[:9]: child for child in children() - mine}
        assert {name[:4] for name in found} == {"qemu", "virt"}
        return found

    return start


def test_no_process_of_a_machine_is_told_a_secret(
    started: Callable[[], dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TOKEN", "AWS_SECRET_ACCESS_KEY", "LD_PRELOADED", "PATHS", "APPLEVZ_QEMU", "MY_APPLEVZ_QEMU_X"):
        monkeypatch.setenv(name, f"a secret of {name}" if name != "APPLEVZ_QEMU" else "")
    monkeypatch.setenv("LC_TIME", "C.UTF-8")
    monkeypatch.setenv("APPLEVZ_QEMU_OF_OURS", "handed on")
    for name, child in started().items():
        variables = Path(f"/proc/{child}/environ").read_bytes()
        assert b"secret" not in variables, name
        given = {variable.partition(b"=")[0]: variable.partition(b"=")[2] for variable in variables.split(b"\0")}
        assert given[b"PATH"] == os.fsencode(os.environ["PATH"])
        assert (given[b"LC_TIME"], given[b"APPLEVZ_QEMU_OF_OURS"]) == (b"C.UTF-8", b"handed on")


def test_qemu_gains_no_privileges(started: Callable[[], dict[str, int]]) -> None:
    (qemu,) = (child for name, child in started().items() if name.startswith("qemu"))
    assert "NoNewPrivs:\t1\n" in Path(f"/proc/{qemu}/status").read_text()
    assert "NoNewPrivs:\t1\n" not in Path("/proc/self/status").read_text()


def core_limits(process: int | str) -> list[str]:
    (line,) = (line for line in Path(f"/proc/{process}/limits").read_text().splitlines() if "core file" in line)
    return line.split()[4:6]


def test_no_process_of_a_machine_leaves_a_core(started: Callable[[], dict[str, int]]) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        found = started()
        assert {tuple(core_limits(child)) for child in found.values()} == {("0", "0")}
        # Nor, where the system hands a core to a program, the guest's memory.
        arguments = [Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0") for child in found.values()]
        (machine_options,) = (a[a.index("-machine") + 1] for a in arguments if "-machine" in a)
        assert "dump-guest-core=off" in machine_options.split(",")
        # The host program's own cores are its own.
        assert resource.getrlimit(resource.RLIMIT_CORE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
