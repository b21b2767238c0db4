# SPDX-License-Identifier: Apache-2.0
"""How the machines of tests come to be, without a guest: when a state is made, and when it is made anew."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import applevz
from applevz import VirtualMachine, VirtualMachineConfiguration, VirtualMachineState
from applevz._core.guest.session import Session
from applevz.testing import FakeGuest, FakeHypervisor, image_configuration
from applevz.testing._clones import Clones
from fixtures import Configure
from guest_machine import PATIENCE, with_agent
from processes import alive, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Apple's framework has no hypervisor of another's")
pytest.importorskip("filelock")
pytest.importorskip("pycdlib")

Make = Callable[[], VirtualMachineConfiguration]


@pytest.fixture
def hypervisor() -> Iterator[FakeHypervisor]:
    with FakeHypervisor() as hypervisor:
        yield hypervisor


@pytest.fixture
def make(hypervisor: FakeHypervisor, configure: Configure) -> Make:
    return lambda: with_agent(configure())


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[Clones]:
    clones = Clones(tmp_path / "states", PATIENCE)
    yield clones
    clones.close()


def write(path: str, machine: VirtualMachine) -> None:
    machine.guest.write_text(path, "prepared", timeout=PATIENCE)


def file_writer(path: str) -> Callable[[VirtualMachine], None]:
    """Another function each time, made of the same code."""

    def prepare(machine: VirtualMachine) -> None:
        write(path, machine)

    return prepare


def has(clones: Clones, make: Make, prepare: Callable[[VirtualMachine], object] | None, path: str) -> bool:
    with clones.machine(make, prepare) as machine:
        try:
            return machine.guest.read_text(path, timeout=PATIENCE) == "prepared"
        except FileNotFoundError:
            return False


def states(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "states" / "states").glob("*.state"))


def test_each_machine_goes_on_from_one_boot_and_the_next_one_waits(
    hypervisor: FakeHypervisor, make: Make, clones: Clones
) -> None:
    with clones.machine(make, None) as first:
        first.guest.write_text("/changed", "by the first", timeout=PATIENCE)
        # The one that was booted, this one, and the next.
        assert eventually(lambda: len(hypervisor.machines) == 3, PATIENCE)
    with clones.machine(make, None) as second, clones.machine(make, None) as third:
        for machine in (second, third):
            assert machine.state is VirtualMachineState.RUNNING
            with pytest.raises(FileNotFoundError):
                machine.guest.read_text("/changed", timeout=PATIENCE)
        assert eventually(lambda: len(hypervisor.machines) == 5, PATIENCE)
    waiting = hypervisor.machines[-1].pid
    assert alive(waiting)
    clones.close()
    assert eventually(lambda: not alive(waiting))


def test_a_guest_is_told_once_that_it_goes_on_elsewhere(
    make: Make, clones: Clones, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Session] = []
    sessions: list[Session] = []
    tell = Session._tell_restored

    def counted(session: Session) -> None:
        told.append(session)
        tell(session)

    monkeypatch.setattr(Session, "_tell_restored", counted)
    for _ in range(2):
        with clones.machine(make, None) as machine:
            machine.guest.info(timeout=PATIENCE)
            sessions.append(machine.guest._session)
    assert told == sessions


def test_a_state_is_another_one_for_another_preparation_and_the_same_in_another_process(
    make: Make, clones: Clones, tmp_path: Path
) -> None:
    assert has(clones, make, file_writer("/one"), "/one")
    assert has(clones, make, file_writer("/other"), "/other")
    assert not has(clones, make, file_writer("/other"), "/one")
    assert has(clones, make, functools.partial(write, "/one"), "/one")
    assert len(states(tmp_path)) == 3
    # What another process makes is found by this one, and the other way round.
    another = Clones(tmp_path / "states", PATIENCE)
    assert has(another, make, file_writer("/one"), "/one")
    another.close()
    assert len(states(tmp_path)) == 3


def test_a_state_that_is_damaged_or_refused_is_made_anew(
    hypervisor: FakeHypervisor, make: Make, clones: Clones, tmp_path: Path
) -> None:
    clones.ensure(make, None)
    (state,) = states(tmp_path)
    content = bytearray(state.read_bytes())
    content[-200] ^= 1
    state.unlink()
    state.write_bytes(content)
    with clones.machine(make, None) as machine:
        assert machine.state is VirtualMachineState.RUNNING
    # That of the next one, which waits, may be over.
    clones.close()
    hypervisor.fail("restore_state", "of another QEMU", times=1)
    before = len(hypervisor.machines)
    with clones.machine(make, None) as machine:
        assert machine.guest.info(timeout=PATIENCE).hostname == "played"
        # One that failed, one that was booted, and this one, at least.
        assert len(hypervisor.machines) >= before + 3
    clones.close()
    hypervisor.fail("restore_state", "of no QEMU")
    with pytest.raises(applevz.RestoreError, match="of no QEMU"), clones.machine(make, None):
        pass


def test_another_program_has_states_of_its_own(configure: Configure, clones: Clones, tmp_path: Path) -> None:
    for number in (1, 2):
        with FakeHypervisor(FakeGuest(information={"hostname": f"guest {number}"})):
            with clones.machine(lambda: with_agent(configure()), None) as machine:
                assert machine.guest.info(timeout=PATIENCE).hostname == f"guest {number}"
            clones.close()
        assert len(states(tmp_path)) == number


def test_a_guest_that_nobody_can_wait_for_is_an_error_that_says_so_each_time(
    hypervisor: FakeHypervisor, configure: Configure, clones: Clones
) -> None:
    for _ in range(2):
        with pytest.raises(applevz.InvalidStateError, match="Its machine has no agent, and vm_prepare is None"):
            clones.ensure(configure, None)
    assert len(hypervisor.machines) == 1
    # One that waits itself may have any guest.
    hypervisor.guest = FakeGuest(console="ready\n")
    with clones.machine(configure, lambda machine: machine.console.read_until("ready", timeout=PATIENCE)) as machine:
        assert machine.state is VirtualMachineState.RUNNING


def test_what_cannot_be_shared_is_refused_by_its_name(
    hypervisor: FakeHypervisor, configure: Configure, clones: Clones, tmp_path: Path
) -> None:
    applevz.create_disk_image(tmp_path / "disk", "1MiB")
    disk = applevz.VirtioBlockDeviceConfiguration(applevz.DiskImageStorageDeviceAttachment(tmp_path / "disk"))
    with pytest.raises(applevz.InvalidArgumentError, match=r"storage_devices\[0\]") as caught:
        clones.ensure(lambda: configure(storage_devices=[disk]), None)
    assert "make the machine in the test" in str(caught.value)
    with pytest.raises(applevz.InvalidArgumentTypeError, match="vm_configuration is 7"):
        clones.ensure(7, None)  # type: ignore[arg-type]
    with pytest.raises(applevz.InvalidArgumentTypeError, match="What vm_configuration returned is 7"):
        clones.ensure(lambda: 7, None)  # type: ignore[arg-type,return-value]
    assert hypervisor.machines == ()


def test_an_image_is_a_guest_with_a_disk_that_goes_with_its_machine(
    hypervisor: FakeHypervisor, guest_files: Path, clones: Clones, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    applevz.create_disk_image(disk, "1MiB")
    words = {
        "kernel": guest_files / "vmlinux",
        "initial_ramdisk": guest_files / "initrd.cpio.gz",
        "command_line": "console=hvc0",
        "memory_size": "256MiB",
        "cache": tmp_path / "cache",
    }

    def make() -> VirtualMachineConfiguration:
        return image_configuration(str(disk), **words)

    addresses = set()
    for _ in range(2):
        with clones.machine(make, None) as machine:
            assert machine.guest.info(timeout=PATIENCE).hostname == "played"
            configuration = machine.configuration
            (attachment,) = (device.attachment for device in configuration.storage_devices)
            assert isinstance(attachment, applevz.DiskImageStorageDeviceAttachment)
            assert attachment.ephemeral
            assert configuration.platform.generation_identifier
            (card,) = configuration.network_devices
            addresses.add((card.mac_address, configuration.platform.machine_identifier))
    # Those that the guest knows.
    assert len(addresses) == len(states(tmp_path)) == 1
    with pytest.raises(applevz.InvalidArgumentError, match="prepare is .*, which image_configuration does not take"):
        image_configuration(str(disk), prepare=print, **words)


def test_a_preparation_may_refer_to_itself_and_to_what_is_not_there_yet(
    hypervisor: FakeHypervisor, make: Make, clones: Clones
) -> None:
    def made(path: str) -> Callable[[VirtualMachine], None]:
        def prepare(machine: VirtualMachine, times: int = 1) -> None:
            if times:
                prepare(machine, times - 1)
            elif path == "/never":
                print(later)
            else:
                write(path, machine)

        if path == "/nowhere":
            later = path
        return prepare

    assert has(clones, make, made("/one"), "/one")
    assert has(clones, make, made("/two"), "/two")
    assert not has(clones, make, made("/one"), "/two")


def test_what_makes_the_next_machine_may_fail_and_this_one_is_there(
    hypervisor: FakeHypervisor, make: Make, clones: Clones
) -> None:
    errors: list[Exception] = []

    def make_or_raise() -> VirtualMachineConfiguration:
        if errors:
            raise errors.pop()
        return make()

    with clones.machine(make_or_raise, None):
        pass
    errors.append(ValueError("mine"))
    # It waited already; the one behind it cannot be made.
    with clones.machine(make_or_raise, None) as machine:
        assert machine.state is VirtualMachineState.RUNNING
        assert errors == []
    errors.append(ValueError("mine"))
    with pytest.raises(ValueError, match="mine"), clones.machine(make_or_raise, None):
        pass


def test_a_value_that_no_machine_could_have_is_not_said_to_be_one_that_no_state_could(
    make: Make, clones: Clones
) -> None:
    def wrong() -> VirtualMachineConfiguration:
        configuration = make()
        configuration.memory_size = "1XiB"
        return configuration

    with (
        pytest.raises(applevz.InvalidArgumentError, match="^applevz 2: memory_size is '1XiB'"),
        clones.machine(wrong, None),
    ):
        pass
